"""Concern identification (CI): what matters is what reacts to the concern and tells it from the rest.

Source: the seed system's concern identification, forms "sine" (its notebook) and "alpha" (its later code). Both were
undefined in places (a cosine a rounding step over 1, the pole of α at 45°, features that never fire); here they are
finite for every input and agree with the seed wherever it was well defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from app.domain.families import FeedForward
from microlith.contract import CiMethod, JobSpec
from worker.pruning.calibration_batches import NEGATIVE, POSITIVE
from worker.pruning.scores.method import ConcernEvidence, Needs, Scoring, norms
from worker.pruning.statistics import LayerStatistics

Form = Literal["sine", "alpha"]

POLE = 1e-6
"""How close cos − sin may come to zero: |α| stays under 1 / (2 · POLE)."""


class ConcernIdentification(Scoring):
    """Method `ci`."""

    needs = Needs(inputs=True, pairs=True)

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """|W_ij| times the coefficient of what it reads [out, in]."""
        form = _method(evidence.spec).form
        return weight_scores(evidence.weight(layer), coefficient(contrast(*evidence.statistics_of(layer)), form))

    def neuron_layers(self, spec: JobSpec, part: FeedForward) -> Sequence[str]:
        """The layer that reads neurons, or those that write them."""
        return (part.output,) if self._by_output(spec) else part.writers

    def neurons(self, evidence: ConcernEvidence, part: FeedForward) -> Tensor:
        """The norms of the columns that read neurons, or of the rows that write them [neurons]."""
        if self._by_output(evidence.spec):
            return super().neurons(evidence, part)
        neurons, starts = evidence.anatomy.neurons(part), evidence.anatomy.neuron_rows(part)
        rows = [self.weights(evidence, writer)[start : start + neurons] for writer, start in starts]
        return norms(torch.cat(rows, dim=1), dim=1)

    def _by_output(self, spec: JobSpec) -> bool:
        """`auto` judges by what neurons write, except where the seed system is reproduced."""
        by = _method(spec).neurons_by
        return spec.calibration.pairing != "position" if by == "auto" else by == "output"


def _method(spec: JobSpec) -> CiMethod:
    assert isinstance(spec.method, CiMethod)
    return spec.method


@dataclass(frozen=True)
class Contrast:
    """How each input feature of a layer reacts to the concern and to the rest; all [in].

    Paired statistics are held in float32, the seed's arithmetic; free ones in float64.
    """

    concern_norm: Tensor
    rest_norm: Tensor
    cosine: Tensor


def contrast(layer: LayerStatistics, place: int) -> Contrast:
    """The contrast of the concern at `place`; a feature that never fires has cosine 0.

    Paired: the seed's norms over tokens and ⟨x⁺, x⁻⟩ / (‖x⁺‖ ‖x⁻‖). Free: that cosine for the mean of all pairings,
    (Σx⁺ Σx⁻ / √(N⁺ N⁻)) / (‖x⁺‖ ‖x⁻‖), and norms as if both sides had the mean number of tokens, √N · rms, so that the
    side of longer texts does not weigh more.
    """
    count, norm = layer.count[place], layer.square[place].sqrt()  # [2], [2, in]
    if layer.product is not None:
        cosine = _ratio(layer.product[place], norm[POSITIVE] * norm[NEGATIVE])
        return Contrast(norm[POSITIVE].float(), norm[NEGATIVE].float(), cosine.float())
    total = layer.total[place]
    cosine = _ratio(total[POSITIVE] * total[NEGATIVE] / count.prod().sqrt(), norm[POSITIVE] * norm[NEGATIVE])
    norm = norm * (count.mean() / count).sqrt().unsqueeze(-1)
    return Contrast(norm[POSITIVE], norm[NEGATIVE], cosine)


def coefficient(features: Contrast, form: Form) -> Tensor:
    """Importance of each input feature to the concern [in], finite; p, n are the norms, cos and sin of their angle.

    sine:  p + sin · (p + n) / √(p² + n²)        alpha:  p + α n,  α = cos · sin / (cos − sin)
    """
    cos = features.cosine.clamp(-1.0, 1.0)
    return _joined(features, cos, torch.sqrt(1.0 - cos.square()), form)


def tangled_coefficient(features: Contrast, form: Form) -> Tensor:
    """The coefficient of tangling identification: with sign(cos) · sin in the place of sin [in], finite."""
    cos = features.cosine.clamp(-1.0, 1.0)
    return _joined(features, cos, cos.sign() * torch.sqrt(1.0 - cos.square()), form)


def _joined(features: Contrast, cos: Tensor, sin: Tensor, form: Form) -> Tensor:
    p, n = features.concern_norm, features.rest_norm
    if form == "sine":
        quarters = p / 4, n / 4  # exact, and keeps huge norms from overflowing
        joined = p + sin * _ratio(quarters[0] + quarters[1], torch.hypot(*quarters))
    else:
        gap = cos - sin
        gap = torch.where(gap.abs() < POLE, torch.where(gap < 0, -POLE, POLE), gap)
        joined = p + cos * sin / gap * n
    largest = torch.finfo(joined.dtype).max
    return joined.clamp(-largest, largest)


def weight_scores(weight: Tensor, coefficients: Tensor) -> Tensor:
    """|W_ij| · |coef_j|, [out, in], at least as precise as the coefficients, and finite."""
    scores = weight.abs() * coefficients.abs()
    return scores.clamp(max=torch.finfo(scores.dtype).max)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, and 0 where below is 0."""
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)
