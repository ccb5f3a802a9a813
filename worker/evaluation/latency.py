"""How long one forward pass takes, of the base and of what is handed out, on the same inputs.

Dense kernels take as long for a zero as for any other weight, so models of equal shapes are timed once: what differs
between them would be noise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from microlith.contract import Latency
from worker.compute.batches import Batch, device_of, forward, pad
from worker.compute.examples import Examples

BATCHES = (1, 32)
RUNS, LEAST_RUNS = 20, 3
BUDGET_SECONDS = 0.4
"""For the runs of one batch; a slow model is timed fewer times than 20, but never fewer than 3."""


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of `runs` passes."""

    milliseconds: float
    runs: int


@dataclass
class Stopwatch:
    """Times models on batches of some examples, padded to the longest of the batch."""

    examples: Examples
    device: str
    """What people call the device."""
    budget_seconds: float = BUDGET_SECONDS
    _kept: dict[Hashable, dict[int, Timing]] = field(default_factory=dict)

    def model(self, model: nn.Module) -> dict[int, Timing]:
        """By batch, of a torch model where it is."""
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())
        model.eval()
        return self.timed(("torch", shapes), lambda batch: forward(model, batch), device_of(model))

    def timed(
        self, key: Hashable, run: Callable[[Batch], object], device: torch.device | str = "cpu"
    ) -> dict[int, Timing]:
        """By batch, of anything that runs one; what has the same `key` is timed once."""
        if key not in self._kept:
            with torch.inference_mode():
                self._kept[key] = {size: self._median(run, size, torch.device(device)) for size in BATCHES}
        return self._kept[key]

    def compare(self, layout: str, base: Mapping[int, Timing], module: Mapping[int, Timing]) -> list[Latency]:
        """One line for each batch size."""
        return [
            Latency(
                layout=layout,
                device=self.device,
                batch=size,
                milliseconds=round(module[size].milliseconds, 3),
                base_milliseconds=round(base[size].milliseconds, 3),
                positions=self._length(size),
                runs=module[size].runs,
            )
            for size in BATCHES
        ]

    def _median(self, run: Callable[[Batch], object], size: int, device: torch.device) -> Timing:
        batch = pad(self.examples, self._rows(size), self._length(size), device)
        run(batch)  # the first pass allocates
        began, times = time.perf_counter(), list[float]()
        while len(times) < RUNS and (len(times) < LEAST_RUNS or time.perf_counter() - began < self.budget_seconds):
            started = time.perf_counter()
            run(batch)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
        return Timing(1000 * statistics.median(times), len(times))

    def _rows(self, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.arange(size, dtype=np.int64) % len(self.examples)

    def _length(self, size: int) -> int:
        return int(self.examples.lengths(self._rows(size)).max())
