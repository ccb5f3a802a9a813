"""What the inputs of linear layers look like on each concern's samples: one pass, sums only.

Every concern, ratio and activation score is served by the same sums, so memory does not grow with the number of tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import Calibration
from worker.families.layers import linear
from worker.inputs import Batch, Checkpoint, Examples, device_of, forward, unwatched
from worker.pruning.steps import NEGATIVE, POSITIVE, Step, run_paired, run_union
from worker.sampling.concern import ConcernSamples, rows_of


@dataclass(frozen=True)
class Moments:
    """Sums over the tokens of every row that ran, whatever concern it serves; float64, CPU."""

    count: Tensor  # [], tokens
    total: Tensor  # [in], Σ x
    second: Tensor  # [in, in], Σ x xᵀ


@dataclass(frozen=True)
class LayerStatistics:
    """Sums over tokens of a layer's inputs, per concern, on its positive and its negative samples; float64, CPU."""

    count: Tensor  # [concerns, 2], tokens
    total: Tensor  # [concerns, 2, in], Σ x
    square: Tensor  # [concerns, 2, in], Σ x²
    product: Tensor | None  # [concerns, in], Σ x⁺ x⁻ over paired tokens, with pairing `position` only
    moments: Moments | None = None  # of layers that are refitted


@dataclass(frozen=True)
class Statistics:
    """The sums of every layer asked for; `concerns` names their first dimension."""

    concerns: tuple[int, ...]
    layers: Mapping[str, LayerStatistics]


def calibrate(
    model: nn.Module,
    layers: Sequence[str],
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    calibration: Calibration,
    *,
    moments: Collection[str] = (),
    checkpoint: Checkpoint = unwatched,
) -> Statistics:
    """One pass of the unpruned model over the samples of all concerns, which leaves it in eval mode.

    Pairing `free` runs the union of the samples once, whatever the order they are named in. Pairing `position` runs
    concern by concern, the k-th positive beside the k-th negative. Layers of `moments` have their second moments taken
    too, which are as large as the layer's inputs squared. `checkpoint` hears the rows done after each batch and may
    raise. Raises UnsupportedModel when activations are not finite.
    """
    model.eval()
    paired, device = calibration.pairing == "position", device_of(model)
    sums = {
        name: _Sums.zero(len(samples), linear(model, name).in_features, device, paired=paired, pooled=name in moments)
        for name in layers
    }
    watch = _Watch(count_pads=calibration.pads == "include", paired=paired, pooled=frozenset(moments))
    run, done = (run_paired if paired else run_union), 0
    with torch.inference_mode(), ExitStack() as hooks:
        for name in layers:
            hook = model.get_submodule(name).register_forward_pre_hook(partial(watch.observe, name))
            hooks.callback(hook.remove)
        for batch, seen in run(partial(watch.run, model), examples, samples, calibration, device):
            for name, found in seen:
                sums[name].add(found)
            done += len(batch)
            checkpoint(done)
    return Statistics(tuple(samples), {name: found.statistics(name) for name, found in sums.items()})


def calibration_rows(samples: Mapping[int, ConcernSamples], calibration: Calibration) -> int:
    """The rows that `calibrate` will run: what its checkpoint counts up to."""
    if calibration.pairing == "position":
        return sum(2 * len(drawn.positive) for drawn in samples.values())
    return len(rows_of(samples))


def by_example(x: Tensor, batch: Batch) -> Tensor:
    """A layer's inputs or outputs by example: [b, t, features], or [b, 1, features] of one vector per example.

    What all examples share, as relative positions are, stays [1, positions, features]. Raises UnsupportedModel for
    anything else.
    """
    examples, width, mask = len(batch), x.shape[-1], batch.attention_mask
    tokens = x.shape[1] if mask is None and x.dim() == 3 else 1 if mask is None else mask.shape[1]
    if x.dim() == 3 and len(x) == 1 and (examples > 1 or x.shape[1] not in (1, tokens)):
        return x
    for positions in (tokens, 1):
        if x.numel() == examples * positions * width:
            return x.reshape(examples, positions, width)
    raise UnsupportedModel(f"A linear layer sees neither tokens nor examples, but inputs of shape {list(x.shape)}.")


@dataclass(frozen=True)
class _Seen:
    """What one call of a layer adds to its sums."""

    count: Tensor  # [groups]
    total: Tensor  # [groups, in]
    square: Tensor  # [groups, in]
    product: Tensor | None  # [concerns, in]
    tokens: Tensor | None  # [tokens, in], zero where they do not count; of layers whose moments are taken
    counted: Tensor  # [], how many of them count


@dataclass
class _Watch:
    """What hooks see while the model runs one step; a step that fails is forgotten with all that was seen of it."""

    count_pads: bool
    paired: bool
    pooled: frozenset[str]
    _seen: list[tuple[str, _Seen]] = field(default_factory=list)

    def run(self, model: nn.Module, step: Step) -> list[tuple[str, _Seen]]:
        """What every call of a layer adds, in the order of the calls."""
        self._step, self._seen = step, []
        self._counted = None if self.count_pads else step.batch.attention_mask  # [b, t]; None where all count
        forward(model, step.batch)
        seen, self._seen = self._seen, []
        return seen

    def observe(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Sees one layer's inputs: [b, t, in], or [b, in] where a layer sees one vector per example."""
        membership = self._step.membership
        x = by_example(inputs[0], self._step.batch).expand(len(self._step.batch), -1, -1)
        counted = torch.ones(x.shape[:2], dtype=torch.float64, device=x.device)
        if self._counted is not None and self._counted.shape == counted.shape:
            counted = self._counted.to(counted)
        x = x.to(torch.float32 if self.paired else torch.float64)
        tokens = (x * counted.to(x.dtype).unsqueeze(-1)).flatten(0, 1).double() if name in self.pooled else None
        if self.paired:
            x = x * counted.to(x.dtype).unsqueeze(-1)
            total = membership @ x.sum(1, dtype=torch.float64)
            square, product = self._pairs(*(side.flatten(0, 1) for side in x.chunk(2)))
        else:
            total, square, product = membership @ _sums(counted, x), membership @ _sums(counted, x.square()), None
        self._seen.append((name, _Seen(membership @ counted.sum(1), total, square, product, tokens, counted.sum())))

    def _pairs(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Squares and products of paired tokens [pairs, in], from norms and cosine in float32 so that near-ties fall
        as in the seed."""
        place, groups, width = self._step.place, len(self._step.membership), positive.shape[1]
        norms = torch.stack([torch.norm(positive, dim=0), torch.norm(negative, dim=0)]).double()  # [2, in]
        cosine = F.cosine_similarity(positive, negative, dim=0).double()
        square, product = norms.new_zeros(groups, width), norms.new_zeros(groups // 2, width)
        square[2 * place : 2 * place + 2] = norms.square()
        product[place] = cosine * norms[POSITIVE] * norms[NEGATIVE]
        return square, product


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
    moments: Moments | None

    @classmethod
    def zero(cls, concerns: int, width: int, device: torch.device, *, paired: bool, pooled: bool) -> _Sums:
        """Sums over nothing yet."""
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        return cls(
            count=zeros(2 * concerns),
            total=zeros(2 * concerns, width),
            square=zeros(2 * concerns, width),
            product=zeros(concerns, width) if paired else None,
            moments=Moments(zeros(()), zeros(width), zeros(width, width)) if pooled else None,
        )

    def add(self, seen: _Seen) -> None:
        """Adds what a call of the layer saw, in place: no memory is asked for."""
        self.count.add_(seen.count)
        self.total.add_(seen.total)
        self.square.add_(seen.square)
        if self.product is not None and seen.product is not None:
            self.product.add_(seen.product)
        if self.moments is not None and seen.tokens is not None:
            self.moments.count.add_(seen.counted)
            self.moments.total.add_(seen.tokens.sum(0))
            self.moments.second.addmm_(seen.tokens.T, seen.tokens)

    def statistics(self, name: str) -> LayerStatistics:
        """The sums by concern and side, on the CPU. Raises UnsupportedModel when they are not finite."""
        if not torch.isfinite(self.square).all():
            raise UnsupportedModel(f"The inputs of layer {name} are not finite, so the model cannot be calibrated.")
        count, total, square = (
            sums.reshape(-1, 2, *sums.shape[1:]).cpu() for sums in (self.count, self.total, self.square)
        )
        moments = self.moments and Moments(*(sums.cpu() for sums in vars(self.moments).values()))
        return LayerStatistics(count, total, square, None if self.product is None else self.product.cpu(), moments)
