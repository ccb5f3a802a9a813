"""What a spec may remove of a model: its layers, feed-forward parts and attention parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from app.domain.errors import UnsupportedModel
from app.domain.families import Attention, FeedForward
from app.domain.layers import select_attentions, select_blocks, select_feed_forwards
from app.domain.methods import UnitKind, check_depth, check_method, check_widths, parts_of, ratios_for
from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.selection import Units


@dataclass(frozen=True)
class Targets:
    """The parts of the model that each part of the structure removes units of; empty where the structure has none."""

    weights: tuple[str, ...] = ()
    neurons: tuple[FeedForward, ...] = ()
    heads: tuple[Attention, ...] = ()
    layers: tuple[str, ...] = ()

    def without(self, gone: Collection[str]) -> Targets:
        """The targets that are left where these blocks are gone."""
        return Targets(
            weights=tuple(name for name in self.weights if not any(name.startswith(f"{block}.") for block in gone)),
            neurons=tuple(part for part in self.neurons if part.block not in gone),
            heads=tuple(part for part in self.heads if part.block not in gone),
            layers=self.layers,
        )

    def units(self, part: UnitKind) -> Units:
        """The names to select by, with those that ratio rules look at."""
        if part == "weights":
            return Units.of_layers(self.weights)
        blocks: Sequence[FeedForward | Attention] = self.neurons if part == "neurons" else self.heads
        return Units(part, {block.block: (block.block, *block.layers) for block in blocks})


@dataclass(frozen=True)
class Step:
    """Ratios of a sweep at which the same blocks are `gone`: a spec of these, and what is left to remove units of."""

    spec: JobSpec
    targets: Targets
    gone: frozenset[str] = frozenset()


def steps(spec: JobSpec, targets: Targets, order: Sequence[str]) -> Iterator[Step]:
    """Whole layers go first, in this order; all ratios at once where none go, otherwise each by itself."""
    if not targets.layers:
        yield Step(spec, targets)
        return
    for ratio, share in zip(spec.ratios, ratios_for(spec, "layers", ()), strict=True):
        gone = frozenset(order[: int(len(targets.layers) * share)])
        yield Step(spec.model_copy(update={"ratio": ratio}), targets.without(gone), gone)


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
        neurons=tuple(select_feed_forwards(names, layers, anatomy.whereabouts)) if "neurons" in parts else (),
        heads=tuple(select_attentions(names, spec.layers, anatomy.whereabouts)) if "heads" in parts else (),
        layers=_removable(anatomy, spec) if "layers" in parts else (),
    )


def _removable(anatomy: Anatomy, spec: JobSpec) -> tuple[str, ...]:
    """The blocks that may go whole."""
    chosen = select_blocks(list(anatomy.shapes), spec.layers, anatomy.whereabouts)
    removable = tuple(block for block in chosen if block in anatomy.removable)
    if not removable:
        raise UnsupportedModel(
            "The layers that were chosen are made otherwise than the others, so no other can take their place.",
            hint="Let other layers go, or use structure `neurons`, `heads` or `weights`.",
            pointer="/layers",
        )
    check_depth(spec, len(removable))
    return removable
