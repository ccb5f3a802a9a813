"""Wanda: a weight matters as much as it and the norm of its input do.

Source: Sun et al. 2024, "A Simple and Effective Pruning Approach for Large Language Models". The seed system let each
batch overwrite the one before; here the statistics are sums over all samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from microlith.contract import WandaMethod
from worker.pruning.calibration_batches import POSITIVE
from worker.pruning.scores.method import ConcernEvidence, Needs, Scoring
from worker.pruning.statistics import Statistics
from worker.sampling.concern import ConcernSamples


class Wanda(Scoring):
    """Method `wanda`."""

    needs = Needs(inputs=True)

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """|W_ij| times the norm of what it reads [out, in]."""
        assert isinstance(evidence.spec.method, WandaMethod)
        assert evidence.statistics is not None
        if evidence.spec.method.samples == "all":
            seen = pooled_norms(evidence.statistics, evidence.samples, layer)
        else:
            seen = concern_norms(evidence.statistics, evidence.samples, layer, evidence.concern)
        return weight_scores(evidence.weight(layer), seen)


def concern_norms(statistics: Statistics, samples: Mapping[int, ConcernSamples], layer: str, concern: int) -> Tensor:
    """√(Σ x² / samples) of each input feature over the tokens of the concern's positive samples [in]."""
    square = statistics.layers[layer].square[statistics.concerns.index(concern), POSITIVE]
    return (square / max(1, len(samples[concern].positive))).sqrt()


def pooled_norms(statistics: Statistics, samples: Mapping[int, ConcernSamples], layer: str) -> Tensor:
    """The same over the samples of all concerns, positive and negative [in].

    A row that serves several concerns counts for each.
    """
    drawn = sum(len(sides.positive) + len(sides.negative) for sides in samples.values())
    return (statistics.layers[layer].square.sum(dim=(0, 1)) / max(1, drawn)).sqrt()


def weight_scores(weight: Tensor, norms: Tensor) -> Tensor:
    """|W_ij| · norm_j, [out, in], in float64, where no product of finite float32 values overflows."""
    return weight.double().abs() * norms
