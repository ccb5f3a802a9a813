"""How many cores this process is given, which in a container is fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores_given(cgroup: Path = CGROUP) -> int:
    """The cores it may run on, and no more than its container's share of time comes to; at least one.

    `docker run --cpus 1.5` limits time, not cores: threads beyond it only wait for one another.
    """
    here = len(os.sched_getaffinity(0))
    share = _share(cgroup)
    return here if share is None else max(1, min(here, math.ceil(share)))


def _share(cgroup: Path) -> float | None:
    """CPU seconds per second, by version 2 of the kernel's control groups; None where nothing limits them."""
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
