"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import nn

from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.evidence import Evidence
from worker.pruning.masks import Bits, Mask
from worker.pruning.recovery import TINY, mended, weight_restorer
from worker.pruning.removable_parts import Targets, targets_of
from worker.pruning.scores.method import norms
from worker.pruning.scores.registry import scoring_of
from worker.pruning.selection import Scorer, select

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
    together = _kept(model, anatomy, evidence, spec, targets, concerns) if spec.recovery == "distil" else None
    for concern in concerns:
        kept = together or _kept(model, anatomy, evidence, spec, targets, [concern])
        for place, ratio in enumerate(spec.ratios):
            weights, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
            mask = Mask(spec.structure, weights, neurons, heads)
            if evidence.statistics is not None:
                mask = mended(model, mask, anatomy, evidence.statistics, spec.recovery, concern)
            yield concern, ratio, mask


def _kept(
    model: nn.Module, anatomy: Anatomy, evidence: Evidence, spec: JobSpec, targets: Targets, concerns: Sequence[int]
) -> dict[str, Sequence[dict[str, Bits]]]:
    """What is kept of each part of the structure for one concern, or for several together, once for each ratio.

    Single weights, and recovery `ti`, are one concern's alone.
    """
    scoring = scoring_of(spec)
    judges = [evidence.of_concern(concern, model, anatomy, spec) for concern in concerns]
    restorer = weight_restorer(model, evidence.statistics, spec, concerns[0])
    feed_forwards = {part.block: part for part in targets.neurons}
    attentions = {part.block: part for part in targets.heads}
    kept: dict[str, Sequence[dict[str, Bits]]] = {}
    if attentions:
        scorers = [lambda block, own=own: scoring.heads(own, attentions[block]) for own in judges]
        kept["heads"] = select(spec, targets.units("heads"), pooled(scorers, attentions))
    if feed_forwards:
        scorers = [lambda block, own=own: scoring.neurons(own, feed_forwards[block]) for own in judges]
        kept["neurons"] = select(
            spec,
            targets.units("neurons"),
            pooled(scorers, feed_forwards),
            restorer and (lambda block: norms(restorer(feed_forwards[block].output), dim=0)),
        )
    if targets.weights:
        weights = evidence.weights.get(concerns[0])
        kept["weights"] = weights or scoring.keep_weights(judges[0], targets.units("weights"), restorer)
    return kept


def pooled(scorers: Sequence[Scorer], blocks: Collection[str]) -> Scorer:
    """One scorer for several: the mean of their scores, each divided by its own mean over all units of the blocks."""
    if len(scorers) == 1:
        return scorers[0]
    summed = dict.fromkeys(blocks, torch.zeros(()))
    for scorer in scorers:
        scores = {block: scorer(block).double() for block in blocks}
        mean = torch.cat(list(scores.values())).mean()
        summed = {block: summed[block] + scores[block] / mean.clamp(min=TINY) for block in blocks}
    return summed.__getitem__
