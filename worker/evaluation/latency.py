"""How long one forward pass takes, of the base and of what is handed out, on the same inputs and in turn.

A machine is now busier, now less: passes of base and module that follow one another meet the same of it. Dense kernels
take as long for a zero as for any other weight, so models of equal shapes are timed once: what differs between them
would be noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from microlith.contract import Latency
from worker.compute.batches import Batch, device_of, forward, pad
from worker.compute.examples import Examples

BATCHES = (1, 32)
RUNS, LEAST_RUNS = 20, 3
BUDGET_SECONDS = 0.8
"""For the runs of one batch, base and module together; slow models are timed fewer times than 20, but at least 3."""

QUARTERS = (0.25, 0.5, 0.75)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Timed:
    """What can be timed: what runs a batch on this device. What has the same `key` takes equally long."""

    key: Hashable
    run: Callable[[Batch], object]
    device: torch.device = CPU

    @classmethod
    def of(cls, model: nn.Module) -> Timed:
        """A torch model where it is."""
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in model.state_dict().items())
        model.eval()
        return cls(("torch", shapes), lambda batch: forward(model, batch), device_of(model))


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of `runs` passes; `spread` is how far their middle half reaches, of the median."""

    milliseconds: float
    runs: int
    spread: float = 0.0

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """Of the passes' times."""
        low, median, high = (float(value) for value in np.quantile(seconds, QUARTERS))
        return cls(1000 * median, len(seconds), (high - low) / median if median else 0.0)


@dataclass
class Stopwatch:
    """Times models on batches of some examples, padded to the longest of the batch."""

    examples: Examples
    device: str
    """What people call the device."""
    budget_seconds: float = BUDGET_SECONDS
    _kept: dict[Hashable, dict[int, tuple[Timing, Timing]]] = field(default_factory=dict)

    def compare(self, layout: str, base: Timed, module: Timed, flops_ratio: float | None = None) -> list[Latency]:
        """One line for each batch size."""
        rows = []
        for size, (of_base, of_module) in self.timed(base, module).items():
            rows.append(
                Latency(
                    layout=layout,
                    device=self.device,
                    batch=size,
                    milliseconds=round(of_module.milliseconds, 3),
                    base_milliseconds=round(of_base.milliseconds, 3),
                    positions=self._length(size),
                    runs=of_module.runs,
                    spread=round(max(of_base.spread, of_module.spread), 3),
                    interleaved=True,
                    flops_ratio=flops_ratio,
                )
            )
        return rows

    def timed(self, base: Timed, module: Timed) -> dict[int, tuple[Timing, Timing]]:
        """Base and module by batch; what is alike is timed once."""
        key = (base.key, module.key)
        if key not in self._kept:
            with torch.inference_mode():
                self._kept[key] = {size: self._pair(base, module, size) for size in BATCHES}
        return self._kept[key]

    def _pair(self, base: Timed, module: Timed, size: int) -> tuple[Timing, Timing]:
        """Passes of both in turn; who is first changes every time. Equal ones are timed as one."""
        models = (base, module) if base.key != module.key else (base,)
        batches = [pad(self.examples, self._rows(size), self._length(size), model.device) for model in models]
        for model, batch in zip(models, batches, strict=True):
            model.run(batch)  # the first pass allocates
        times: list[list[float]] = [[] for _ in models]
        until = time.perf_counter() + self.budget_seconds
        for turn in range(RUNS):
            if turn >= LEAST_RUNS and time.perf_counter() >= until:
                break
            for which in sorted(range(len(models)), reverse=bool(turn % 2)):
                times[which].append(_seconds(models[which], batches[which]))
        return Timing.of(times[0]), Timing.of(times[-1])

    def _rows(self, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.arange(size, dtype=np.int64) % len(self.examples)

    def _length(self, size: int) -> int:
        return int(self.examples.lengths(self._rows(size)).max())


def _seconds(model: Timed, batch: Batch) -> float:
    """How long one pass takes."""
    started = time.perf_counter()
    model.run(batch)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    return time.perf_counter() - started
