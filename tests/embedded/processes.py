"""Looking at processes from outside, and waiting for what they do."""

import os
import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """False also for one that has ended and waits to be collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:  # it went while it was looked at
        return False
    except FileNotFoundError:  # no /proc here, or it is gone by now
        return not stat.parent.parent.joinpath("self").exists()


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Returns as soon as the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
