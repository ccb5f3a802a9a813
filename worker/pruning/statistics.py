"""What the inputs of linear layers look like on each concern's samples: one pass, sums only.

Every concern, ratio and activation score is served by the same sums, so memory does not grow with the number of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import Calibration
from worker.families.layers import linear
from worker.inputs import Batch, Checkpoint, Examples, Rows, batches, device_of, forward, pad, unwatched
from worker.sampling.concern import ConcernSamples, rows_of

POSITIVE, NEGATIVE = 0, 1

PAIRED_TOKENS = 16_384
"""Tokens of a batch of pairs: 16 and 16 inputs of 512, which the seed system runs at once. Sums over more than one
batch agree with the seed's to rounding only."""


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


def calibrate(
    model: nn.Module,
    layers: Sequence[str],
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    calibration: Calibration,
    *,
    checkpoint: Checkpoint = unwatched,
) -> Statistics:
    """One pass of the unpruned model over the samples of all concerns, which leaves it in eval mode.

    Pairing `free` runs the union of the samples once, whatever the order they are named in. Pairing `position` runs
    concern by concern, the k-th positive beside the k-th negative. `checkpoint` hears the rows done after each batch
    and may raise. Raises UnsupportedModel when activations are not finite.
    """
    model.eval()
    paired = calibration.pairing == "position"
    sums = _Sums(model, layers, len(samples), paired=paired)
    steps = (_paired if paired else _union)(examples, samples, calibration, sums.device)
    done = 0
    with torch.inference_mode(), ExitStack() as hooks:
        for name in layers:
            hook = model.get_submodule(name).register_forward_pre_hook(partial(sums.observe, name))
            hooks.callback(hook.remove)
        for step in steps:
            sums.expect(step, count_pads=calibration.pads == "include")
            forward(model, step.batch)
            done += len(step.batch)
            checkpoint(done)
    return Statistics(tuple(samples), sums.statistics())


def calibration_rows(samples: Mapping[int, ConcernSamples], calibration: Calibration) -> int:
    """The rows that `calibrate` will run: what its checkpoint counts up to."""
    if calibration.pairing == "position":
        return sum(2 * len(drawn.positive) for drawn in samples.values())
    return len(rows_of(samples))


@dataclass(frozen=True)
class _Step:
    """A batch and whom it serves."""

    batch: Batch
    membership: Tensor  # [groups, b], how often a row counts in group 2 · concern + POSITIVE or NEGATIVE
    place: int  # of the concern whose positives are paired with negatives here; 0 where nothing is paired


def _union(
    examples: Examples, samples: Mapping[int, ConcernSamples], calibration: Calibration, device: torch.device
) -> Iterator[_Step]:
    """Every row that any concern needs, once."""
    groups: dict[int, list[int]] = {}
    for place, drawn in enumerate(samples.values()):
        for side, rows in ((POSITIVE, drawn.positive), (NEGATIVE, drawn.negative)):
            for row in rows:
                groups.setdefault(row, []).append(2 * place + side)
    pad_to = examples.max_length if calibration.pads == "include" else None
    for batch in batches(examples, sorted(groups), pad_to=pad_to, device=device):
        membership = np.zeros((2 * len(samples), len(batch)))
        for column, row in enumerate(batch.rows.tolist()):
            np.add.at(membership[:, column], groups[row], 1.0)
        yield _Step(batch, torch.from_numpy(membership).to(device), 0)


def _paired(
    examples: Examples, samples: Mapping[int, ConcernSamples], calibration: Calibration, device: torch.device
) -> Iterator[_Step]:
    """Concern by concern, [positives; negatives] in one batch, as many pairs at a time as the token budget takes."""
    for place, drawn in enumerate(samples.values()):
        pairs = np.array([drawn.positive, drawn.negative], dtype=np.int64)  # [2, samples]
        for part in _pair_chunks(pairs, examples, calibration):
            rows = part.reshape(-1)
            batch = pad(examples, rows, _padded_length(examples, rows, calibration), device)
            membership = torch.zeros(2 * len(samples), len(rows), dtype=torch.float64, device=device)
            membership[2 * place + POSITIVE, : part.shape[1]] = 1.0
            membership[2 * place + NEGATIVE, part.shape[1] :] = 1.0
            yield _Step(batch, membership, place)


def _pair_chunks(pairs: Rows, examples: Examples, calibration: Calibration) -> list[Rows]:
    together = max(1, PAIRED_TOKENS // (2 * _padded_length(examples, pairs.reshape(-1), calibration)))
    return np.split(pairs, range(together, pairs.shape[1], together), axis=1)


def _padded_length(examples: Examples, rows: Rows, calibration: Calibration) -> int:
    if calibration.pads == "include" and examples.max_length is not None:
        return examples.max_length
    return int(examples.lengths(rows).max())


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


class _Sums:
    """Running sums of every layer; hooks feed it while the model runs the step it was told to expect."""

    def __init__(self, model: nn.Module, layers: Sequence[str], concerns: int, *, paired: bool) -> None:
        self.device = device_of(model)
        self._widths = {name: linear(model, name).in_features for name in layers}
        self._count = {name: self._zeros(2 * concerns) for name in layers}
        self._total = {name: self._zeros(2 * concerns, width) for name, width in self._widths.items()}
        self._square = {name: self._zeros(2 * concerns, width) for name, width in self._widths.items()}
        self._product = {name: self._zeros(concerns, width) for name, width in self._widths.items() if paired}

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def expect(self, step: _Step, *, count_pads: bool) -> None:
        """The step that runs next."""
        self._step = step
        self._counted = None if count_pads else step.batch.attention_mask  # [b, t]; None where every position counts

    def observe(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Adds one layer's inputs: [b, t, in], or [b, in] where a layer sees one vector per example."""
        membership = self._step.membership
        x = by_example(inputs[0], self._step.batch).expand(len(self._step.batch), -1, -1)
        counted = torch.ones(x.shape[:2], dtype=torch.float64, device=x.device)
        if self._counted is not None and self._counted.shape == counted.shape:
            counted = self._counted.to(counted)
        x = x.to(torch.float32 if self._product else torch.float64) * counted.to(x.dtype).unsqueeze(-1)
        self._count[name] += membership @ counted.sum(1)
        self._total[name] += membership @ x.sum(1, dtype=torch.float64)
        if self._product:
            self._observe_pairs(name, *(side.flatten(0, 1) for side in x.chunk(2)))
        else:
            self._square[name] += membership @ torch.einsum("bti,bti->bi", x, x)

    def _observe_pairs(self, name: str, positive: Tensor, negative: Tensor) -> None:
        """Adds paired tokens [pairs, in] by norm and cosine, in float32 so that near-ties fall as in the seed."""
        place = self._step.place
        norms = torch.stack([torch.norm(positive, dim=0), torch.norm(negative, dim=0)]).double()  # [2, in]
        cosine = F.cosine_similarity(positive, negative, dim=0).double()
        self._square[name][2 * place : 2 * place + 2] += norms.square()
        self._product[name][place] += cosine * norms[POSITIVE] * norms[NEGATIVE]

    def statistics(self) -> dict[str, LayerStatistics]:
        """The sums by concern and side, on the CPU. Raises UnsupportedModel when they are not finite."""
        return {name: self._layer(name) for name in self._widths}

    def _layer(self, name: str) -> LayerStatistics:
        if not torch.isfinite(self._square[name]).all():
            raise UnsupportedModel(f"The inputs of layer {name} are not finite, so the model cannot be calibrated.")
        count, total, square = (
            sums[name].reshape(-1, 2, *sums[name].shape[1:]).cpu() for sums in (self._count, self._total, self._square)
        )
        return LayerStatistics(count, total, square, self._product[name].cpu() if self._product else None)
