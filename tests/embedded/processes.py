"""Looking at processes from outside, and waiting for what they do."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


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


def sleep_until_a_signal() -> NoReturn:
    """Sleeps in short turns: a signal that comes just before a sleep is seen when the sleep is over."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    while True:
        time.sleep(0.05)


def descendants(pid: int) -> set[int]:
    """Every process that this one started, and those they started."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, new = set[int](), [pid]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found.update(new)
    return found


def command_line(pid: int) -> str:
    """What a process was started with; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
