"""Which linear layers and blocks a job may prune: patterns on dotted names, one rule for the API and the worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.errors import NoMatchingLayers, UnsupportedModel
from app.domain.families import Attention, Family, FeedForward
from app.domain.methods import UnitKind, parts_of
from microlith.contract import LayerPatterns


@dataclass(frozen=True)
class FoundParts:
    """The parts of one model of no known family, as they were found when it was opened.

    `lacking` says why it has no `neurons` or no `heads`, of which there are then no parts.
    """

    neurons: Sequence[FeedForward] = ()
    heads: Sequence[Attention] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)

    def feed_forwards(self, _linear_layers: Iterable[str]) -> list[FeedForward]:
        """The feed-forward parts, first block first."""
        return list(self.neurons)

    def attentions(self, _linear_layers: Iterable[str]) -> list[Attention]:
        """The attention parts, first block first."""
        return list(self.heads)


Whereabouts = Family | FoundParts
"""What tells where a model's blocks keep their units."""

NOT_KNOWN = "It is not known where this architecture keeps them."
NO_LAYERS = "Whole layers can go in families that are known by name."


def select_layers(
    linear_layers: Sequence[str], patterns: LayerPatterns | None, whereabouts: Whereabouts | None
) -> list[str]:
    """The chosen layers in the model's order: an excluded substring wins, an empty include list takes all.

    Without patterns the feed-forward layers of the family are taken, or every linear layer where the family is unknown.
    Raises NoMatchingLayers with what could have been named.
    """
    if patterns is None:
        chosen = _feed_forward(linear_layers, whereabouts) or list(linear_layers)
    else:
        chosen = [name for name in linear_layers if _matches(name, patterns)]
    if not chosen:
        raise NoMatchingLayers(
            f"No linear layer matches. The model has: {', '.join(linear_layers)}.",
            hint="Patterns are substrings of these names. Leave out `layers` to prune the feed-forward layers.",
            pointer="/layers",
        )
    return chosen


def select_feed_forwards(
    linear_layers: Sequence[str], chosen: Iterable[str], whereabouts: Whereabouts | None
) -> list[FeedForward]:
    """The feed-forward parts whose neurons may go: those with a chosen writer.

    Raises UnsupportedModel where the blocks are not known and NoMatchingLayers where no writer is chosen.
    """
    parts = _known(whereabouts, "neurons").feed_forwards(linear_layers)
    chosen_names = set(chosen)
    selected = [part for part in parts if chosen_names.intersection(part.writers)]
    if not selected:
        known = ", ".join(writer for part in parts for writer in part.writers)
        raise NoMatchingLayers(f"None of the chosen layers writes neurons. These do: {known}.", pointer="/layers")
    return selected


def select_attentions(
    linear_layers: Sequence[str], patterns: LayerPatterns | None, whereabouts: Whereabouts | None
) -> list[Attention]:
    """The attention parts whose heads may go: those with a layer that the patterns take, and all without patterns.

    Raises UnsupportedModel where the blocks are not known and NoMatchingLayers where the patterns take none of theirs.
    """
    parts = _known(whereabouts, "heads").attentions(linear_layers)
    selected = [part for part in parts if patterns is None or any(_matches(name, patterns) for name in part.layers)]
    if not selected:
        known = ", ".join(name for part in parts for name in part.layers)
        raise NoMatchingLayers(
            f"None of the chosen layers belongs to attention heads. These do: {known}.",
            hint="Leave out `layers` to use the heads of every block.",
            pointer="/layers",
        )
    return selected


def select_blocks(
    linear_layers: Sequence[str], patterns: LayerPatterns | None, whereabouts: Whereabouts | None
) -> list[str]:
    """The blocks that may go whole: those with a layer that the patterns take, and all without patterns.

    Raises UnsupportedModel where the family is unknown, one block serves all layers or there is but one, and
    NoMatchingLayers where the patterns take none.
    """
    known = _known(whereabouts, "layers")
    if isinstance(known, FoundParts):
        raise _without("layers", NO_LAYERS)
    blocks = known.blocks(linear_layers)
    if known.shared or len(blocks) < 2:
        what = "Its layers share one set of weights" if known.shared else f"The model has {len(blocks)} layer"
        raise UnsupportedModel(
            f"{what}, so no layer can go.", hint="Use structure `neurons`, `heads` or `weights`.", pointer="/structure"
        )
    names = [name for name in linear_layers if patterns is None or _matches(name, patterns)]
    selected = [block for block in blocks if any(name.startswith(f"{block}.") for name in names)]
    if not selected:
        raise NoMatchingLayers(
            f"None of the chosen layers stands in a block. The blocks are: {', '.join(blocks)}.",
            hint="Leave out `layers` to let any of them go.",
            pointer="/layers",
        )
    return selected


def layers_touched(
    linear_layers: Sequence[str], patterns: LayerPatterns | None, whereabouts: Whereabouts | None, structure: str
) -> list[str]:
    """Every linear layer that removing `structure` may change, in the model's order; parts of a chain select apart.

    Raises what the selection of each part raises, so that what cannot be pruned is refused before anything is loaded.
    """
    touched: set[str] = set()
    for part in parts_of(structure):
        if part == "layers":
            select_blocks(linear_layers, patterns, whereabouts)
            touched |= set(linear_layers)
            continue
        if part == "heads":
            touched |= _members(select_attentions(linear_layers, patterns, whereabouts))
            continue
        chosen = select_layers(linear_layers, patterns, whereabouts)
        touched |= (
            set(chosen) if part == "weights" else _members(select_feed_forwards(linear_layers, chosen, whereabouts))
        )
    return [name for name in linear_layers if name in touched]


def check_units(structure: str, lacking: Mapping[str, str]) -> None:
    """Raise UnsupportedModel, with the reason, where a structure removes units that the model was found to lack."""
    for part in parts_of(structure):
        if part in lacking:
            raise _without(part, lacking[part])


def _known(whereabouts: Whereabouts | None, units: UnitKind) -> Whereabouts:
    if whereabouts is None:
        raise _without(units, NOT_KNOWN)
    if isinstance(whereabouts, FoundParts):
        check_units(units, whereabouts.lacking)
    return whereabouts


def _without(units: str, why: str) -> UnsupportedModel:
    hint = "Use structure `weights`, which works on every linear layer."
    return UnsupportedModel(f"The {units} of this model cannot be removed. {why}", hint=hint, pointer="/structure")


def _feed_forward(linear_layers: Sequence[str], whereabouts: Whereabouts | None) -> list[str]:
    """Those of a family, which are known by name alone: what a plan says holds when the model is opened."""
    members = _members(whereabouts.feed_forwards(linear_layers)) if isinstance(whereabouts, Family) else set()
    return [name for name in linear_layers if name in members]


def _members(parts: Iterable[FeedForward | Attention]) -> set[str]:
    return {name for part in parts for name in part.layers}


def _matches(name: str, patterns: LayerPatterns) -> bool:
    excluded = any(pattern in name for pattern in patterns.exclude)
    included = not patterns.include or any(pattern in name for pattern in patterns.include)
    return included and not excluded
