"""What a confined process may take, held by the kernel (setrlimit)."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2]
"""Where our packages are, which a confined process may read."""

SMALLER = "Make the file smaller: fewer columns, smaller row groups, shorter texts."


@dataclass(frozen=True)
class Limits:
    """Of one confined process. `file_bytes` is the largest file it may write, its answer among them."""

    memory_bytes: int = 1_000_000_000
    cpu_seconds: int = 60
    wall_seconds: float = 120.0
    file_bytes: int = 64_000_000
    descriptors: int = 256

    def impose(self) -> None:
        """Put this process under the limits, for good.

        Memory is what it may write to (RLIMIT_DATA): libraries and files that are mapped to be read do not count.
        """
        _lower(resource.RLIMIT_DATA, self.memory_bytes)
        _lower(resource.RLIMIT_CPU, self.cpu_seconds)
        _lower(resource.RLIMIT_FSIZE, self.file_bytes)
        _lower(resource.RLIMIT_NOFILE, self.descriptors)
        _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))
