"""Where tensors live and how many threads work on them."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from pathlib import Path

import torch
from threadpoolctl import ThreadpoolController

from app.settings import Settings


def prepare(settings: Settings) -> None:
    """Set up torch in a fresh process."""
    use_threads(settings.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, products on CUDA are not repeatable
    torch.use_deterministic_algorithms(True, warn_only=True)


def use_threads(count: int) -> None:
    """So many threads for torch, and one for NumPy: a second pool would stand in the way of torch's."""
    torch.set_num_threads(count)
    ThreadpoolController().select(internal_api="openblas").limit(limits=1)


def title(device: torch.device) -> str:
    """What people call a device: its model, and the CPU's threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if names:
            return f"{names[0].strip()}, {_threads()}"
    return f"{platform.processor() or platform.machine()}, {_threads()}"


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''}"


def choose(name: str) -> torch.device:
    """`auto` is CUDA where there is one, or else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
