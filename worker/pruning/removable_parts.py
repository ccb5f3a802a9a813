"""What a spec may remove of a model: its layers, feed-forward parts and attention parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.families import Attention, FeedForward
from app.domain.layers import select_attentions, select_feed_forwards
from app.domain.methods import UnitKind, check_method, check_widths, parts_of
from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.selection import Units


@dataclass(frozen=True)
class Targets:
    """The parts of the model that each part of the structure removes units of; empty where the structure has none."""

    weights: tuple[str, ...] = ()
    neurons: tuple[FeedForward, ...] = ()
    heads: tuple[Attention, ...] = ()

    def units(self, part: UnitKind) -> Units:
        """The names to select by, with those that ratio rules look at."""
        if part == "weights":
            return Units.of_layers(self.weights)
        blocks: Sequence[FeedForward | Attention] = self.neurons if part == "neurons" else self.heads
        return Units(part, {block.block: (block.block, *block.layers) for block in blocks})


def targets_of(anatomy: Anatomy, spec: JobSpec, layers: Sequence[str]) -> Targets:
    """The targets among the chosen `layers`; heads by the spec's patterns, which are all blocks where it has none.

    Raises InvalidInput where options do not fit each other or the model, NoMatchingLayers, UnsupportedModel.
    """
    check_method(spec)
    names, parts = list(anatomy.shapes), parts_of(spec.structure)
    if "weights" in parts:
        check_widths(spec, {name: anatomy.shapes[name][1] for name in layers})
    return Targets(
        weights=tuple(layers) if "weights" in parts else (),
        neurons=tuple(select_feed_forwards(names, layers, anatomy.blocks)) if "neurons" in parts else (),
        heads=tuple(select_attentions(names, spec.layers, anatomy.blocks)) if "heads" in parts else (),
    )
