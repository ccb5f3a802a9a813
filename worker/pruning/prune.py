"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other. Only whole layers come first: what goes with them is not chosen again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import nn

from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.evidence import Evidence
from worker.pruning.masks import Bits, Mask, kept_blocks
from worker.pruning.recovery import weight_restorer
from worker.pruning.removable_parts import Targets, steps, targets_of
from worker.pruning.scores.method import ConcernEvidence, norms
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
    bounds. The model is only read. Raises as `targets_of` does.
    """
    targets = targets_of(anatomy, spec, layers)
    for concern in concerns:
        own = evidence.of_concern(concern, model, anatomy, spec)
        chosen = list(evidence.weights.get(concern, ()))
        for step in steps(spec, targets, scoring_of(spec).layers(own)):
            ratios = step.spec.ratios
            known, chosen = chosen[: len(ratios)], chosen[len(ratios) :]
            kept = _kept(replace(own, spec=step.spec), step.targets, known)
            blocks = kept_blocks(anatomy, step.gone)
            for place, ratio in enumerate(ratios):
                weights, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
                yield concern, ratio, Mask(spec.structure, weights, neurons, heads, blocks)


def _kept(
    own: ConcernEvidence, targets: Targets, weights: Sequence[dict[str, Bits]]
) -> dict[str, Sequence[dict[str, Bits]]]:
    """What is kept of each part of the structure for one concern, once for each ratio; `weights` where known."""
    spec, scoring = own.spec, scoring_of(own.spec)
    restorer = weight_restorer(own.model, own.statistics, spec, own.concern)
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
        kept["weights"] = weights or scoring.keep_weights(own, targets.units("weights"), restorer)
    return kept
