"""Runs one command and ends it when asked, or as soon as the process that started the watchdog is gone.

A program of its own, standard library only, run as `python -I -S watchdog.py`: one small process between us and each
child, because nothing else is safe everywhere. The kernel's parent-death signal follows the parent *thread*, is cleared
by a change of user and exists on Linux only; a watchdog has one thread.

- stdin: first the order, one line of JSON (see `child.Command.order`; not an argument: its environment holds secrets).
  After that anything, and the end, means stop. The end comes by itself when our process dies, even by kill -9.
- stdout: one line with the child's process id.
- exit code: the child's, or 128 + the signal that ended it; 127 when it could not be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

ORPHAN_CHECK_SECONDS = 1.0
"""A fork of our process may hold the pipe open after its death, so the parent's id is looked at too."""

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the child that the first line of input orders, and end it when we are told to or our parent is gone."""
    with open(0, "rb", buffering=0, closefd=False) as orders:  # unbuffered: what follows is waited for by select
        order: dict[str, Any] = json.loads(orders.readline())
    wake = _wake_on_signals(signal.SIGCHLD, signal.SIGTERM)
    try:
        child = _start(order)
    except OSError as error:
        print(f"cannot start {order['argv'][0]}: {error}", file=sys.stderr)
        return 127
    print(child.pid, flush=True)
    _wait_until_end_is_due(child, wake, order["parent"])
    _end(child, order["stop_signal"], order["grace_seconds"])
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _wake_on_signals(*numbers: signal.Signals) -> int:
    """A descriptor that becomes readable at one of the signals; SIGTERM to the watchdog itself thus asks for an end."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return read_end


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    uid, gid = order["uid"], order["gid"]
    return subprocess.Popen(
        order["argv"],
        cwd=order["cwd"],
        env=order["env"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        pass_fds=order["pass_fds"],
        start_new_session=True,  # Ctrl-C in the terminal is ours to handle, not the child's
        user=uid,
        group=gid,
        extra_groups=None if gid is None else [],
        preexec_fn=lambda: _die_with(order["stop_signal"]),  # noqa: PLW1509  runs after the change of user; one thread
    )


def _die_with(stop_signal: int) -> None:
    """Should the watchdog itself be killed, Linux ends the child; elsewhere only the watchdog guards it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)


def _wait_until_end_is_due(child: subprocess.Popen[bytes], wake: int, parent: int) -> None:
    """Returns when the child has ended, a stop is asked for, or the parent is gone."""
    while child.poll() is None and os.getppid() == parent:
        ready, _, _ = select.select([sys.stdin.fileno(), wake], [], [], ORPHAN_CHECK_SECONDS)
        if sys.stdin.fileno() in ready:
            return
        if wake in ready and signal.SIGTERM in os.read(wake, 4096):
            return


def _end(child: subprocess.Popen[bytes], stop_signal: int, grace_seconds: float) -> None:
    """Asks, waits, then kills; what is left of the child's process group is killed in any case."""
    if child.poll() is None:
        child.send_signal(stop_signal)
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    sys.exit(main())
