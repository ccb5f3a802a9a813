"""How samples are run to calibrate: in batches that say which concern each row counts for, and on which side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from microlith.contract import Calibration
from worker.compute.batches import Batch, run_batches
from worker.compute.examples import Examples
from worker.compute.memory import Result
from worker.sampling.concern import ConcernSamples, rows_of

POSITIVE, NEGATIVE = 0, 1

Device = torch.device | str


@dataclass(frozen=True)
class CalibrationStep:
    """A batch and whom it serves."""

    batch: Batch
    membership: Tensor  # [groups, b], how often a row counts in group 2 · concern + POSITIVE or NEGATIVE; float64


StepWork = Callable[[CalibrationStep], Result]
"""What is made of a step; it leaves nothing behind when it raises, because a step may be run again in parts."""


def run_union(
    work: StepWork[Result],
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    calibration: Calibration,
    on: Device,
) -> Iterator[tuple[Batch, Result]]:
    """Every row that any concern needs, once."""
    rows = np.array(sorted(rows_of(samples)), dtype=np.int64)
    belongs = np.zeros((2 * len(samples), len(rows)))  # [groups, rows]
    for place, drawn in enumerate(samples.values()):
        for side, chosen in ((POSITIVE, drawn.positive), (NEGATIVE, drawn.negative)):
            np.add.at(belongs[2 * place + side], np.searchsorted(rows, chosen), 1.0)

    def run(batch: Batch) -> Result:
        membership = torch.from_numpy(belongs[:, np.searchsorted(rows, batch.rows)]).to(on)
        return work(CalibrationStep(batch, membership))

    pad_to = examples.max_length if calibration.pads == "include" else None
    yield from run_batches(run, examples, rows, pad_to=pad_to, device=on)
