"""Scores that look at no data: magnitude, z-score and, as a control, lots.

Each is finite for every finite weight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from app.domain.families import Attention, FeedForward
from app.domain.methods import ratios_for
from worker.pruning.masks import Bits
from worker.pruning.scores.method import ConcernEvidence, Needs, Scoring
from worker.pruning.selection import Scorer, Units


class Magnitude(Scoring):
    """Method `magnitude`."""

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """|W| [out, in]."""
        return magnitude(evidence.weight(layer))


class Zscore(Scoring):
    """Method `zscore`."""

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """How far a weight is from its row's mean [out, in]."""
        return zscore(evidence.weight(layer)).abs()

    def keep_weights(
        self, evidence: ConcernEvidence, units: Units, restorer: Scorer | None
    ) -> Sequence[dict[str, Bits]]:
        """As ever by rule `rank`; by rule `quantile` what lies outside the seed's bounds."""
        if not evidence.spec.method.cuts_at_bounds:
            return super().keep_weights(evidence, units, restorer)
        kept: list[dict[str, Bits]] = [{} for _ in evidence.spec.ratios]
        for layer, known_as in units.known_as.items():
            scores = zscore(evidence.weight(layer))
            for by_layer, ratio in zip(kept, ratios_for(evidence.spec, units.part, known_as), strict=True):
                by_layer[layer] = Bits.pack(quantile_kept(scores, ratio).numpy())
        return kept


class Lots(Scoring):
    """Method `random`, drawn by the sampling seed, the concern and the layer."""

    needs = Needs(head_effects=False, layer_costs=False)

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """A lot for each weight [out, in]."""
        return self._drawn(evidence, evidence.weight(layer).shape, f"weights of {layer}")

    def neurons(self, evidence: ConcernEvidence, part: FeedForward) -> Tensor:
        """A lot for each neuron [neurons]."""
        return self._drawn(evidence, (evidence.anatomy.neurons(part),), f"neurons of {part.block}")

    def heads(self, evidence: ConcernEvidence, part: Attention) -> Tensor:
        """A lot for each head [heads]."""
        return self._drawn(evidence, (evidence.anatomy.heads(part),), f"heads of {part.block}")

    def layers(self, evidence: ConcernEvidence) -> Sequence[str]:
        """By lot."""
        drawn = self._drawn(evidence, (len(evidence.order),), "layers").tolist()
        return [block for _, block in sorted(zip(drawn, evidence.order, strict=True))]

    def _drawn(self, evidence: ConcernEvidence, shape: Sequence[int], units: str) -> Tensor:
        return lots(shape, evidence.spec.sampling.seed, evidence.concern, units)


def magnitude(weight: Tensor) -> Tensor:
    """|W|, [out, in]."""
    return weight.abs()


def zscore(weight: Tensor) -> Tensor:
    """(w − mean) / std of each row, the standard deviation unbiased [out, in]; 0 in a row of equal weights. Float64."""
    largest = weight.double().abs().amax(dim=1, keepdim=True)
    row = torch.where(largest > 0, weight.double() / torch.where(largest > 0, largest, 1.0), 0.0)  # z has no scale
    centred = row - row.mean(dim=1, keepdim=True)
    std = (centred.square().sum(dim=1, keepdim=True) / max(1, weight.shape[1] - 1)).sqrt()
    return torch.where(std > 0, centred / torch.where(std > 0, std, 1.0), 0.0)


def quantile_kept(scores: Tensor, ratio: float) -> Tensor:
    """What the seed's rule keeps of z-scores: all but Φ⁻¹(½ − r/2) ≤ z < Φ⁻¹(½ + r/2).

    Of normally distributed weights that removes the fraction r; of others, some other fraction.
    """
    bound = NormalDist().inv_cdf(0.5 + ratio / 2)
    return (scores < -bound) | (scores >= bound)


def lots(shape: Sequence[int], seed: int, concern: int, units: str) -> Tensor:
    """Uniform draws in [0, 1), the same for the same seed, concern and units, whatever else is drawn. Float64.

    `units` names the layer or block and the kind of its units.
    """
    name = int.from_bytes(hashlib.sha256(units.encode()).digest()[:8], "big")
    return torch.from_numpy(np.random.default_rng([seed, concern, name]).random(tuple(shape)))
