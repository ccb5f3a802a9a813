"""How samples are run to calibrate: in batches that say which concern each row counts for, and on which side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from microlith.contract import Calibration
from worker.inputs import Batch, Examples, Rows, pad, run_batches
from worker.memory import in_parts
from worker.sampling.concern import ConcernSamples, rows_of

POSITIVE, NEGATIVE = 0, 1

PAIRED_TOKENS = 16_384
"""Tokens of a batch of pairs: 16 and 16 inputs of 512, which the seed system runs at once. Sums over more than one
batch agree with the seed's to rounding only."""

Found = TypeVar("Found")
Device = torch.device | str


@dataclass(frozen=True)
class Step:
    """A batch and whom it serves."""

    batch: Batch
    membership: Tensor  # [groups, b], how often a row counts in group 2 · concern + POSITIVE or NEGATIVE; float64
    place: int  # of the concern whose positives are paired with negatives here; 0 where nothing is paired


Work = Callable[[Step], Found]
"""What is made of a step; it leaves nothing behind when it raises, because a step may be run again in parts."""


def run_union(
    work: Work[Found], examples: Examples, samples: Mapping[int, ConcernSamples], calibration: Calibration, on: Device
) -> Iterator[tuple[Batch, Found]]:
    """Every row that any concern needs, once."""
    rows = np.array(sorted(rows_of(samples)), dtype=np.int64)
    belongs = np.zeros((2 * len(samples), len(rows)))  # [groups, rows]
    for place, drawn in enumerate(samples.values()):
        for side, chosen in ((POSITIVE, drawn.positive), (NEGATIVE, drawn.negative)):
            np.add.at(belongs[2 * place + side], np.searchsorted(rows, chosen), 1.0)

    def run(batch: Batch) -> Found:
        membership = torch.from_numpy(belongs[:, np.searchsorted(rows, batch.rows)]).to(on)
        return work(Step(batch, membership, 0))

    pad_to = examples.max_length if calibration.pads == "include" else None
    yield from run_batches(run, examples, rows, pad_to=pad_to, device=on)


def run_paired(
    work: Work[Found], examples: Examples, samples: Mapping[int, ConcernSamples], calibration: Calibration, on: Device
) -> Iterator[tuple[Batch, Found]]:
    """Concern by concern, [positives; negatives] in one batch, as many pairs at a time as the token budget takes."""
    pairs = np.concatenate([[drawn.positive, drawn.negative] for drawn in samples.values()], axis=1).astype(np.int64)
    ends = np.cumsum([len(drawn.positive) for drawn in samples.values()])  # of the pairs of each concern
    lengths = [
        _padded_length(examples, np.array([*drawn.positive, *drawn.negative]), calibration)
        for drawn in samples.values()
    ]

    def place_of(start: int) -> int:
        return int(np.searchsorted(ends, start, side="right"))

    def end(start: int, budget: int) -> int:
        place = place_of(start)
        return min(int(ends[place]), start + max(1, budget // (2 * lengths[place])))

    def run(start: int, stop: int) -> tuple[Batch, Found]:
        place, rows = place_of(start), pairs[:, start:stop].reshape(-1)
        batch = pad(examples, rows, _padded_length(examples, rows, calibration), on)
        membership = torch.zeros(2 * len(samples), len(rows), dtype=torch.float64, device=on)
        membership[2 * place + POSITIVE, : stop - start] = 1.0
        membership[2 * place + NEGATIVE, stop - start :] = 1.0
        return batch, work(Step(batch, membership, place))

    yield from in_parts(run, pairs.shape[1], end, PAIRED_TOKENS)


def _padded_length(examples: Examples, rows: Rows, calibration: Calibration) -> int:
    if calibration.pads == "include" and examples.max_length is not None:
        return examples.max_length
    return int(examples.lengths(rows).max())
