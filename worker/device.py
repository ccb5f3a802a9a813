"""Where tensors live and how many threads work on them."""

from __future__ import annotations

import torch

from app.settings import Settings


def prepare(settings: Settings) -> None:
    """Set up torch in a fresh process, and import what a job needs while nobody waits for it."""
    import worker.run  # noqa: F401

    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)


def choose(name: str) -> torch.device:
    """`auto` is CUDA where there is one, or else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
