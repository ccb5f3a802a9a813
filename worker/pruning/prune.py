"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other. Only whole layers come first: what goes with them is not chosen again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

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

    Every pool of units (see `selection`) loses exactly its count of lowest scores, except where the method cuts at
    bounds. The model is only read. Raises as `targets_of` does.
    """
    targets = targets_of(anatomy, spec, layers)
    judges = [evidence.of_concern(concern, model, anatomy, spec) for concern in concerns]
    if spec.recovery == "distil":  # what learns is the same for all of them
        together = list(_masks(judges, targets, []))
        yield from ((concern, ratio, mask) for concern in concerns for ratio, mask in together)
        return
    for own in judges:
        weights = evidence.weights.get(own.concern, ())
        yield from ((own.concern, ratio, mask) for ratio, mask in _masks([own], targets, weights))


def _masks(
    judges: Sequence[ConcernEvidence], targets: Targets, weights: Sequence[dict[str, Bits]]
) -> Iterator[tuple[float, Mask]]:
    """One mask for each ratio, of a concern or of several together; `weights` are what is kept of them, where known."""
    spec = judges[0].spec
    chosen = list(weights)
    for step in steps(spec, targets, scoring_of(spec).layers(judges[0])):
        ratios = step.spec.ratios
        known, chosen = chosen[: len(ratios)], chosen[len(ratios) :]
        kept = _kept([replace(own, spec=step.spec) for own in judges], step.targets, known)
        blocks = kept_blocks(judges[0].anatomy, step.gone)
        for place, ratio in enumerate(ratios):
            weight_bits, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
            yield ratio, Mask(spec.structure, weight_bits, neurons, heads, blocks)


def _kept(
    judges: Sequence[ConcernEvidence], targets: Targets, weights: Sequence[dict[str, Bits]]
) -> dict[str, Sequence[dict[str, Bits]]]:
    """What is kept of each part of the structure for one concern, or for several together, once for each ratio.

    Single weights, and recovery `ti`, are one concern's alone; `weights` are what is kept of them, where known.
    """
    first = judges[0]
    spec, scoring = first.spec, scoring_of(first.spec)
    restorer = weight_restorer(first.model, first.statistics, spec, first.concern)
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
        kept["weights"] = weights or scoring.keep_weights(first, targets.units("weights"), restorer)
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
