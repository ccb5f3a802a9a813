"""Statistics where the k-th sample of a concern is paired with the k-th of the rest, token by token, as the seed does.

A row runs once for all its pairs as long as there is room to keep what it showed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.domain.budgets import KEPT_BYTES
from microlith.contract import Calibration
from worker.compute.batches import pad
from worker.compute.examples import Examples
from worker.compute.memory import in_parts, out_of_memory
from worker.pruning.calibration_batches import Device
from worker.pruning.layer_inputs import InputWatch
from worker.sampling.concern import ConcernSamples

PAIRED_TOKENS = 16_384
"""Tokens of a batch of pairs: 16 and 16 inputs of 512, which the seed system runs at once. Sums over more than one
batch agree with the seed's to rounding only."""

FEATURES = 64
"""Features that are summed at a time: what they are of all tokens stays in the cache."""

EPSILON = 1e-8
"""The least norm that a cosine divides by, that of torch."""


@dataclass(frozen=True)
class Read:
    """What one call of a layer read of one row."""

    layer: str
    tokens: Tensor  # [t, in], float32, zero on positions that do not count
    count: Tensor  # [], positions that count


@dataclass(frozen=True)
class PairSums:
    """What one call of a layer adds to a concern's sums: of its own rows first, then of the rest's."""

    layer: str
    count: Tensor  # [2]
    total: Tensor  # [2, in]
    square: Tensor  # [2, in]
    product: Tensor  # [in]


@dataclass(frozen=True)
class Window:
    """Pairs of one concern that run together; `place` is the concern's among the samples."""

    place: int
    positive: Sequence[int]
    negative: Sequence[int]

    @property
    def rows(self) -> list[int]:
        """Every row of either side, once for each of its pairs."""
        return [*self.positive, *self.negative]


def run_paired(
    watch: InputWatch[Any],
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    calibration: Calibration,
    on: Device,
) -> Iterator[tuple[Window, list[PairSums]]]:
    """Concern by concern, as many pairs at a time as the token budget takes, with what every call of a layer adds."""
    drawn = list(samples.values())
    ends = np.cumsum([len(of.positive) for of in drawn])  # of the pairs of each concern
    lengths = [_padded_length(examples, [*of.positive, *of.negative], calibration) for of in drawn]
    kept = _KeptRows(Counter(row for of in drawn for row in (*of.positive, *of.negative)), KEPT_BYTES)

    def place_of(start: int) -> int:
        return int(np.searchsorted(ends, start, side="right"))

    def end(start: int, budget: int) -> int:
        place = place_of(start)
        return min(int(ends[place]), start + max(1, budget // (2 * lengths[place])))

    def run(start: int, stop: int) -> _WindowStep:
        place = place_of(start)
        before = ends[place] - len(drawn[place].positive)
        pairs = slice(start - before, stop - before)
        step = _WindowStep(Window(place, drawn[place].positive[pairs], drawn[place].negative[pairs]), kept)
        try:
            step.run(watch, examples, _padded_length(examples, step.window.rows, calibration), on)
        except Exception as error:
            if out_of_memory(error):
                kept.forget()
            raise
        return step

    for step in in_parts(run, int(ends[-1]), end, PAIRED_TOKENS):
        kept.settle(step.window, step.fresh)
        yield step.window, step.sums


@dataclass
class _KeptRows:
    """Rows that later pairs need again, as many as there is room for; `left` says how many pairs."""

    left: Counter[int]
    room: int
    rows: dict[int, list[Read]] = field(default_factory=dict)

    def settle(self, done: Window, fresh: Mapping[int, list[Read]]) -> None:
        """Lets go of rows whose last pair is done, and keeps of the fresh ones what later pairs need."""
        self.left.subtract(done.rows)
        for row in set(done.rows):
            if not self.left[row] and row in self.rows:
                self.room += _size(self.rows.pop(row))
        for row, reads in fresh.items():
            if self.left[row]:
                self.rows[row] = reads
                self.room -= _size(reads)

    def forget(self) -> None:
        """Gives back what is kept, and keeps no more."""
        self.rows.clear()
        self.room = 0


class _WindowStep:
    """One window on its way through the model; whatever it finds is its own until the caller takes it."""

    def __init__(self, window: Window, kept: _KeptRows) -> None:
        self.window, self.sums = window, list[PairSums]()
        self._known, self._room = kept.rows, kept.room
        self._new = [row for row in dict.fromkeys(window.rows) if row not in kept.rows]
        again = Counter(window.rows)
        self.fresh: dict[int, list[Read]] = {row: [] for row in self._new if kept.left[row] > again[row]}

    def run(self, watch: InputWatch[Any], examples: Examples, length: int, on: Device) -> None:
        """Runs the rows that are new, and sums over them and those that are known."""
        if self._new:
            watch.run(pad(examples, np.array(self._new), length, on), self._look)
            return
        for read in self._known[self.window.positive[0]]:
            self._add(read.layer, {})

    def _look(self, layer: str, x: Tensor, counted: Tensor) -> None:
        x = x.float()
        if not bool(counted.all()):
            x = x * counted.float().unsqueeze(-1)
        reads = {row: Read(layer, *of_row) for row, *of_row in zip(self._new, x, counted.sum(1), strict=True)}
        self._add(layer, reads)
        self._keep(reads)

    def _add(self, layer: str, reads: Mapping[int, Read]) -> None:
        call = len(self.sums)
        sides = [
            [reads[row] if row in reads else self._known[row][call] for row in rows]
            for rows in (self.window.positive, self.window.negative)
        ]
        self.sums.append(_sums(layer, sides))

    def _keep(self, reads: Mapping[int, Read]) -> None:
        """Rows apart from their batch, as long as there is room for all that they show."""
        for row in [row for row in self.fresh if row in reads]:
            read = reads[row]
            if read.tokens.nbytes > self._room:
                self._room += _size(self.fresh.pop(row))
                continue
            self.fresh[row].append(Read(read.layer, read.tokens.clone(), read.count))
            self._room -= read.tokens.nbytes


def _sums(layer: str, sides: Sequence[Sequence[Read]]) -> PairSums:
    """Sums over paired tokens, from norms and cosine in float32 so that near-ties fall as in the seed."""
    width = sides[0][0].tokens.shape[-1]
    parts = [_over_features(sides, slice(start, start + FEATURES)) for start in range(0, width, FEATURES)]
    total, norms, cosine = (torch.cat(part, dim=-1).double() for part in zip(*parts, strict=True))
    return PairSums(
        layer=layer,
        count=torch.stack([torch.stack([read.count for read in side]).sum() for side in sides]),
        total=total,
        square=norms.square(),
        product=cosine * norms[0] * norms[1],
    )


def _over_features(sides: Sequence[Sequence[Read]], features: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Of some features: sums [2, features], norms [2, features] and cosine [features], as torch computes it."""
    length = max(len(read.tokens) for side in sides for read in side)
    both = [_stacked([read.tokens[:, features] for read in side], length) for side in sides]
    norms = [torch.norm(tokens, dim=0) for tokens in both]
    totals = [tokens.sum(0) for tokens in both]
    left, right = (tokens.div_(norm.clamp_min(EPSILON)) for tokens, norm in zip(both, norms, strict=True))
    return torch.stack(totals), torch.stack(norms), left.mul_(right).sum(0)


def _stacked(rows: Sequence[Tensor], length: int) -> Tensor:
    """Rows [t, features] one after another, zero where they are shorter than `length`: [rows · length, features]."""
    stacked = rows[0].new_zeros(len(rows), length, rows[0].shape[1])
    for place, row in enumerate(rows):
        stacked[place, : len(row)] = row
    return stacked.flatten(0, 1)


def _size(reads: Sequence[Read]) -> int:
    return sum(read.tokens.nbytes for read in reads)


def _padded_length(examples: Examples, rows: Sequence[int], calibration: Calibration) -> int:
    if calibration.pads == "include" and examples.max_length is not None:
        return examples.max_length
    return int(examples.lengths(np.array(rows)).max())
