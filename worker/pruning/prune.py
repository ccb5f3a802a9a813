"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import nn

from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.evidence import Evidence
from worker.pruning.masks import Bits, Mask
from worker.pruning.recovery import mended, weight_restorer
from worker.pruning.removable_parts import Targets, targets_of
from worker.pruning.scores.method import norms
from worker.pruning.scores.registry import scoring_of
from worker.pruning.selection import select

_PARTS = ("weights", "neurons", "heads")


def prune(
    model: nn.Module,
    anatomy: Anatomy,
    evidence: Evidence,
    spec: JobSpec,
    layers: Sequence[str],
    concerns: Sequence[int],
) -> Iterator[tuple[int, float, Mask]]:
    """One mask per concern and ratio, all ratios of a concern before the next concern, each made when it is asked for.

    Every pool of units (see `selection`) loses exactly its count of lowest scores, except where the method cuts at
    bounds. The model is only read. Raises as `targets_of` and `mended` do.
    """
    targets = targets_of(anatomy, spec, layers)
    for concern in concerns:
        kept = _kept(model, anatomy, evidence, spec, targets, concern)
        for place, ratio in enumerate(spec.ratios):
            weights, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
            mask = Mask(spec.structure, weights, neurons, heads)
            if evidence.statistics is not None:
                mask = mended(model, mask, anatomy, evidence.statistics, spec.recovery, concern)
            yield concern, ratio, mask


def _kept(
    model: nn.Module, anatomy: Anatomy, evidence: Evidence, spec: JobSpec, targets: Targets, concern: int
) -> dict[str, Sequence[dict[str, Bits]]]:
    """What is kept of each part of the structure for one concern, once for each ratio."""
    scoring, own = scoring_of(spec), evidence.of_concern(concern, model, anatomy, spec)
    restorer = weight_restorer(model, evidence.statistics, spec, concern)
    feed_forwards = {part.block: part for part in targets.neurons}
    attentions = {part.block: part for part in targets.heads}
    kept: dict[str, Sequence[dict[str, Bits]]] = {}
    if attentions:
        kept["heads"] = select(spec, targets.units("heads"), lambda block: scoring.heads(own, attentions[block]))
    if feed_forwards:
        kept["neurons"] = select(
            spec,
            targets.units("neurons"),
            lambda block: scoring.neurons(own, feed_forwards[block]),
            restorer and (lambda block: norms(restorer(feed_forwards[block].output), dim=0)),
        )
    if targets.weights:
        weights = evidence.weights.get(concern)
        kept["weights"] = weights or scoring.keep_weights(own, targets.units("weights"), restorer)
    return kept
