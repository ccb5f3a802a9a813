"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other. Only whole layers come first: what goes with them is not chosen again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from app.domain.families import Attention, FeedForward
from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.pruning.evidence import Evidence
from worker.pruning.least_squares import TINY
from worker.pruning.masks import Bits, Mask, kept_blocks
from worker.pruning.recovery import weight_restorer
from worker.pruning.removable_parts import Targets, steps, targets_of
from worker.pruning.scores.method import ConcernEvidence, norms
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

    With recovery `distil` the concerns share one mask for each ratio, which all of them have a say in. Every pool of
    units (see `selection`) loses exactly its count of lowest scores, except where the method cuts at bounds. The model
    is only read. Raises as `targets_of` does.
    """
    targets = targets_of(anatomy, spec, layers)
    judges = [evidence.of_concern(concern, model, anatomy, spec) for concern in concerns]
    if spec.recovery == "distil":
        shared = list(_masks(judges, targets, ()))
        yield from ((concern, ratio, mask) for concern in concerns for ratio, mask in shared)
        return
    for own in judges:
        for ratio, mask in _masks([own], targets, evidence.weights.get(own.concern, ())):
            yield own.concern, ratio, mask


def _masks(
    judges: Sequence[ConcernEvidence], targets: Targets, weights: Sequence[dict[str, Bits]]
) -> Iterator[tuple[float, Mask]]:
    """A mask for each ratio, by what these concerns say together; `weights` at each ratio where they are known."""
    own, chosen = judges[0], list(weights)
    for step in steps(own.spec, targets, scoring_of(own.spec).layers(own)):
        ratios = step.spec.ratios
        known, chosen = chosen[: len(ratios)], chosen[len(ratios) :]
        kept = _kept([replace(judge, spec=step.spec) for judge in judges], step.targets, known)
        blocks = kept_blocks(own.anatomy, step.gone)
        for place, ratio in enumerate(ratios):
            kept_weights, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
            yield ratio, Mask(own.spec.structure, kept_weights, neurons, heads, blocks)


def _kept(
    judges: Sequence[ConcernEvidence], targets: Targets, weights: Sequence[dict[str, Bits]]
) -> dict[str, Sequence[dict[str, Bits]]]:
    """What is kept of each part of the structure, once for each ratio; `weights` where known.

    Several concerns judge heads and neurons together. Single weights, and recovery `ti`, are one concern's alone.
    """
    own = judges[0]
    spec, scoring = own.spec, scoring_of(own.spec)
    restorer = weight_restorer(own.model, own.statistics, spec, own.concern)
    feed_forwards = {part.block: part for part in targets.neurons}
    attentions = {part.block: part for part in targets.heads}
    kept: dict[str, Sequence[dict[str, Bits]]] = {}
    if attentions:
        by_heads = pooled([partial(_heads, judge, attentions) for judge in judges], attentions)
        kept["heads"] = select(spec, targets.units("heads"), by_heads)
    if feed_forwards:
        kept["neurons"] = select(
            spec,
            targets.units("neurons"),
            pooled([partial(_neurons, judge, feed_forwards) for judge in judges], feed_forwards),
            restorer and (lambda block: norms(restorer(feed_forwards[block].output), dim=0)),
        )
    if targets.weights:
        kept["weights"] = weights or scoring.keep_weights(own, targets.units("weights"), restorer)
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


def _heads(own: ConcernEvidence, parts: Mapping[str, Attention], block: str) -> Tensor:
    return scoring_of(own.spec).heads(own, parts[block])


def _neurons(own: ConcernEvidence, parts: Mapping[str, FeedForward], block: str) -> Tensor:
    return scoring_of(own.spec).neurons(own, parts[block])
