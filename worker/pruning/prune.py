"""From statistics to masks: every concern at every ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor, nn

from app.domain.families import Family, FeedForward
from app.domain.layers import select_neuron_layers
from microlith.contract import JobSpec
from worker.families.layers import linear, linear_layers
from worker.pruning.masks import Bits, Mask, Scores, lowest
from worker.pruning.scores.ci import (
    coefficient,
    contrast,
    neuron_scores_by_input,
    neuron_scores_by_output,
    weight_scores,
)
from worker.pruning.statistics import Statistics


def scored_layers(model: nn.Module, family: Family | None, spec: JobSpec, layers: Sequence[str]) -> list[str]:
    """The layers whose inputs must be calibrated so that `layers` can be pruned."""
    if spec.structure == "weights":
        return list(layers)
    pairs = _neuron_pairs(model, family, layers)
    return [pair.output if _by_output(spec) else pair.intermediate for pair in pairs]


def prune(
    model: nn.Module,
    family: Family | None,
    statistics: Statistics,
    spec: JobSpec,
    layers: Sequence[str],
    concerns: Sequence[int],
) -> Iterator[tuple[int, float, Mask]]:
    """One mask per concern and ratio, all ratios of a concern before the next concern, each made when it is asked for.

    Every output row of a layer loses its int(in · ratio) lowest weights, or every intermediate layer its
    int(neurons · ratio) lowest neurons. The model is only read. Raises as `select_neuron_layers` does.
    """
    pairs = _neuron_pairs(model, family, layers) if spec.structure == "neurons" else []
    for concern in concerns:
        if spec.structure == "weights":
            masks = _weight_masks(model, statistics, spec, layers, concern)
        else:
            masks = _neuron_masks(model, statistics, spec, pairs, concern)
        for ratio, mask in zip(spec.ratios, masks, strict=True):
            yield concern, ratio, mask


def _weight_masks(
    model: nn.Module, statistics: Statistics, spec: JobSpec, layers: Sequence[str], concern: int
) -> list[Mask]:
    kept: list[dict[str, Bits]] = [{} for _ in spec.ratios]
    for name in layers:
        weight = linear(model, name).weight.detach().cpu()
        scores = weight_scores(weight, _coefficients(statistics, spec, name, concern)).numpy()
        for by_name, bits in zip(kept, _masked(scores, spec.ratios), strict=True):
            by_name[name] = bits
    return [Mask("weights", by_name) for by_name in kept]


def _neuron_masks(
    model: nn.Module, statistics: Statistics, spec: JobSpec, pairs: Sequence[FeedForward], concern: int
) -> list[Mask]:
    kept: list[dict[str, Bits]] = [{} for _ in spec.ratios]
    for pair in pairs:
        scores = _neuron_scores(model, statistics, spec, pair, concern)[np.newaxis]  # [1, neurons]
        for by_name, bits in zip(kept, _masked(scores, spec.ratios), strict=True):
            by_name[pair.intermediate] = Bits(scores.shape[1:], bits.packed)
    readers = {pair.intermediate: pair.output for pair in pairs}
    return [Mask("neurons", by_name, readers) for by_name in kept]


def _neuron_scores(model: nn.Module, statistics: Statistics, spec: JobSpec, pair: FeedForward, concern: int) -> Scores:
    name, score = (
        (pair.output, neuron_scores_by_output) if _by_output(spec) else (pair.intermediate, neuron_scores_by_input)
    )
    weight = linear(model, name).weight.detach().cpu()
    scores: Scores = score(weight, _coefficients(statistics, spec, name, concern)).numpy()
    return scores


def _coefficients(statistics: Statistics, spec: JobSpec, layer: str, concern: int) -> Tensor:
    place = statistics.concerns.index(concern)
    return coefficient(contrast(statistics.layers[layer], place), spec.method.form)


def _masked(scores: Scores, ratios: Sequence[float]) -> list[Bits]:
    return [Bits.pack(kept) for kept in lowest(scores, [int(scores.shape[1] * ratio) for ratio in ratios])]


def _by_output(spec: JobSpec) -> bool:
    """Whether neurons are judged by what they write. `auto` does, except where the seed system is reproduced."""
    if spec.method.neurons_by == "auto":
        return spec.calibration.pairing != "position"
    return spec.method.neurons_by == "output"


def _neuron_pairs(model: nn.Module, family: Family | None, layers: Sequence[str]) -> list[FeedForward]:
    names = list(linear_layers(model))
    chosen = select_neuron_layers(names, layers, family)
    pairs = family.feed_forwards(names) if family else []
    return [pair for pair in pairs if pair.intermediate in chosen]
