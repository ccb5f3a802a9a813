"""What the inputs of linear layers look like on each concern's samples: one pass, sums only.

Every concern, ratio and activation score is served by the same sums, so memory does not grow with the number of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import Calibration
from worker.compute.batches import Checkpoint, device_of, unwatched
from worker.compute.examples import Examples
from worker.families.layers import linear
from worker.pruning.calibration_batches import CalibrationStep, run_union
from worker.pruning.layer_inputs import InputWatch
from worker.pruning.paired_statistics import PairSums, run_paired
from worker.sampling.concern import ConcernSamples, rows_of


@dataclass(frozen=True)
class LayerStatistics:
    """Sums over tokens of a layer's inputs, per concern, on its positive and its negative samples; float64, CPU."""

    count: Tensor  # [concerns, 2], tokens
    total: Tensor  # [concerns, 2, in], Σ x
    square: Tensor  # [concerns, 2, in], Σ x²
    product: Tensor | None  # [concerns, in], Σ x⁺ x⁻ over paired tokens, with pairing `position` only


@dataclass(frozen=True)
class Statistics:
    """The sums of every layer asked for; `concerns` names their first dimension."""

    concerns: tuple[int, ...]
    layers: Mapping[str, LayerStatistics]


@dataclass(frozen=True)
class CalibrationPass:
    """One pass of the unpruned model over the samples of all concerns, which leaves it in eval mode.

    Pairing `free` runs the union of the samples once, whatever the order they are named in. Pairing `position` goes
    concern by concern, the k-th positive beside the k-th negative.
    """

    model: nn.Module
    layers: Sequence[str]
    examples: Examples
    samples: Mapping[int, ConcernSamples]
    calibration: Calibration

    @property
    def rows(self) -> int:
        """Rows that run; in pairs, once for each pair of theirs."""
        if self._paired:
            return sum(2 * len(drawn.positive) for drawn in self.samples.values())
        return len(rows_of(self.samples))

    @property
    def _paired(self) -> bool:
        return self.calibration.pairing == "position"

    def run(self, checkpoint: Checkpoint = unwatched) -> Statistics:
        """The sums of every layer. `checkpoint` hears the rows done after each batch and may raise.

        Raises UnsupportedModel when activations are not finite.
        """
        model, device, concerns = self.model.eval(), device_of(self.model), len(self.samples)
        sums = {
            name: _Sums.zero(concerns, linear(model, name).in_features, device, paired=self._paired)
            for name in self.layers
        }
        over, done = (_over_pairs if self._paired else _over_union), 0
        watched: AbstractContextManager[InputWatch[Any]] = InputWatch.over(model, self.layers, self.calibration.pads)
        with torch.inference_mode(), watched as watch:
            for rows in over(watch, sums, self.examples, self.samples, self.calibration, device):
                done += rows
                checkpoint(done)
        return Statistics(tuple(self.samples), {name: summed.statistics(name) for name, summed in sums.items()})


def _over_pairs(watch: InputWatch[Any], sums: Mapping[str, _Sums], *asked: Any) -> Iterator[int]:
    """Adds every pair, and says how many rows that were."""
    for window, seen in run_paired(watch, *asked):
        for added in seen:
            sums[added.layer].add_pairs(window.place, added)
        yield len(window.rows)


def _over_union(watch: InputWatch[Any], sums: Mapping[str, _Sums], *asked: Any) -> Iterator[int]:
    """Adds every batch, and says how many rows that were."""

    def look(step: CalibrationStep) -> list[tuple[str, _Seen]]:
        return watch.run(step.batch, lambda _, *given: _seen(step.membership, *given))

    for batch, seen in run_union(look, *asked):
        for name, added in seen:
            sums[name].add(added)
        yield len(batch)


@dataclass(frozen=True)
class _Seen:
    """What one call of a layer adds to its sums."""

    count: Tensor  # [groups]
    total: Tensor  # [groups, in]
    square: Tensor  # [groups, in]


def _seen(membership: Tensor, x: Tensor, counted: Tensor) -> _Seen:
    x = x.double()
    return _Seen(
        count=membership @ counted.sum(1),
        total=membership @ _sums(counted, x),
        square=membership @ _sums(counted, x.square()),
    )


def _sums(counted: Tensor, x: Tensor) -> Tensor:
    """Σ over the positions that count [b, t] of each example's x [b, t, in]: [b, in].

    A product reads x once; on a small model these sums take as long as the model itself.
    """
    return torch.bmm(counted.unsqueeze(1), x).squeeze(1)


@dataclass(frozen=True)
class _Sums:
    """Running sums of one layer, on the model's device."""

    count: Tensor  # [groups]
    total: Tensor  # [groups, in]
    square: Tensor  # [groups, in]
    product: Tensor | None  # [concerns, in]

    @classmethod
    def zero(cls, concerns: int, width: int, device: torch.device, *, paired: bool) -> _Sums:
        """Sums over nothing yet."""
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        return cls(
            count=zeros(2 * concerns),
            total=zeros(2 * concerns, width),
            square=zeros(2 * concerns, width),
            product=zeros(concerns, width) if paired else None,
        )

    def add(self, seen: _Seen) -> None:
        """Adds what a call of the layer saw, in place: no memory is asked for."""
        self.count.add_(seen.count)
        self.total.add_(seen.total)
        self.square.add_(seen.square)

    def add_pairs(self, place: int, seen: PairSums) -> None:
        """Adds what a call of the layer saw of pairs of the concern at `place`."""
        own = slice(2 * place, 2 * place + 2)
        self.count[own] += seen.count
        self.total[own] += seen.total
        self.square[own] += seen.square
        if self.product is not None:
            self.product[place] += seen.product

    def statistics(self, name: str) -> LayerStatistics:
        """The sums by concern and side, on the CPU. Raises UnsupportedModel when they are not finite."""
        if not torch.isfinite(self.square).all():
            raise UnsupportedModel(f"The inputs of layer {name} are not finite, so the model cannot be calibrated.")
        count, total, square = (
            sums.reshape(-1, 2, *sums.shape[1:]).cpu() for sums in (self.count, self.total, self.square)
        )
        return LayerStatistics(count, total, square, None if self.product is None else self.product.cpu())
