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
