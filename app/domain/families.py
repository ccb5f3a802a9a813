"""Where the feed-forward layers live in each architecture, by name alone: known without loading a model.

A family is found by the `model_type` of a Hugging Face config. A block's feed-forward part is a pair of linear layers:
`intermediate` writes the neurons, `output` reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class FeedForward:
    """One block's pair of linear layers, by dotted name."""

    intermediate: str
    output: str


@dataclass(frozen=True)
class Family:
    """An architecture: its config types and the name patterns of its feed-forward layers (group 1 is the block)."""

    name: str
    model_types: frozenset[str]
    intermediate: str
    output: str

    def feed_forwards(self, linear_layers: Iterable[str]) -> list[FeedForward]:
        """The pairs among `linear_layers`, in their order."""
        names = list(linear_layers)
        outputs = {found[1]: name for name in names if (found := re.fullmatch(self.output, name))}
        blocks = [(found[1], name) for name in names if (found := re.fullmatch(self.intermediate, name))]
        return [FeedForward(name, outputs[block]) for block, name in blocks if block in outputs]


FAMILIES: tuple[Family, ...] = (
    Family(
        name="bert",
        model_types=frozenset({"bert", "roberta", "xlm-roberta", "electra", "camembert"}),
        intermediate=r"(.*\.layer\.\d+)\.intermediate\.dense",
        output=r"(.*\.layer\.\d+)\.output\.dense",
    ),
    Family(
        name="distilbert",
        model_types=frozenset({"distilbert"}),
        intermediate=r"(.*\.layer\.\d+)\.ffn\.lin1",
        output=r"(.*\.layer\.\d+)\.ffn\.lin2",
    ),
)


def family_of(model_type: str | None) -> Family | None:
    """The family of a config's `model_type`; None where only plain linear layers are known."""
    return next((family for family in FAMILIES if model_type in family.model_types), None)


def family_named(name: str | None) -> Family | None:
    """The family with this name; None where it is not known."""
    return next((family for family in FAMILIES if family.name == name), None)
