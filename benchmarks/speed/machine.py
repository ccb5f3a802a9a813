"""The machine that figures are of, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

SQUARE = 2048
SECONDS = 0.2
ROUNDS = 5


def machine() -> dict[str, Any]:
    """What a reader needs to place a figure."""
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": names[0].strip() if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "numpy": version("numpy"),
    }


def matmul_rate(tokens: int, wide: int, out: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of [tokens, wide] × [wide, out], the best of a few rounds: what the machine can, not what it does beside

    other work.
    """
    left, right = (torch.randn(*shape, device=device, dtype=dtype) for shape in ((tokens, wide), (wide, out)))
    best = 0.0
    for _ in range(ROUNDS):
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            torch.mm(left, right)
            if device != "cpu":
                torch.cuda.synchronize()
            calls += 1
        best = max(best, calls * 2 * tokens * wide * out / (time.perf_counter() - began))
    return best


def best_rate(device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of a large square product."""
    side = SQUARE if device == "cpu" else 4 * SQUARE
    return matmul_rate(side, side, side, device, dtype)
