"""Which linear layers a job may prune: patterns on dotted names, the same rule in the API and in the worker."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.errors import NoMatchingLayers, UnsupportedModel
from app.domain.families import Family
from microlith.contract import LayerPatterns


def select_layers(linear_layers: Sequence[str], patterns: LayerPatterns | None, family: Family | None) -> list[str]:
    """The chosen layers in the model's order: an excluded substring wins, an empty include list takes all.

    Without patterns the feed-forward layers of the family are taken, or every linear layer where the family is unknown.
    Raises NoMatchingLayers with what could have been named.
    """
    if patterns is None:
        chosen = _feed_forward(linear_layers, family) or list(linear_layers)
    else:
        chosen = [name for name in linear_layers if _matches(name, patterns)]
    if not chosen:
        raise NoMatchingLayers(
            f"No linear layer matches. The model has: {', '.join(linear_layers)}.",
            hint="Patterns are substrings of these names; leave `layers` out to take the feed-forward layers.",
            pointer="/layers",
        )
    return chosen


def select_neuron_layers(linear_layers: Sequence[str], chosen: Sequence[str], family: Family | None) -> list[str]:
    """For structure `neurons`: the chosen intermediate layers, whose neurons can go. Raises when there are none."""
    if family is None:
        raise UnsupportedModel(
            "Where this architecture keeps its feed-forward neurons is not known.",
            hint="Use structure `weights`, which works on every linear layer.",
            pointer="/structure",
        )
    pairs = family.feed_forwards(linear_layers)
    intermediates = [pair.intermediate for pair in pairs if pair.intermediate in chosen]
    if not intermediates:
        known = ", ".join(pair.intermediate for pair in pairs)
        raise NoMatchingLayers(f"None of the chosen layers writes neurons. These do: {known}.", pointer="/layers")
    return intermediates


def _feed_forward(linear_layers: Sequence[str], family: Family | None) -> list[str]:
    pairs = family.feed_forwards(linear_layers) if family else []
    members = {name for pair in pairs for name in (pair.intermediate, pair.output)}
    return [name for name in linear_layers if name in members]


def _matches(name: str, patterns: LayerPatterns) -> bool:
    excluded = any(pattern in name for pattern in patterns.exclude)
    included = not patterns.include or any(pattern in name for pattern in patterns.include)
    return included and not excluded
