"""A child process that never outlives us: ended by `stop`, by the end of our process, or by a kill -9 of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.embedded.child_account import Account

WATCHDOG = Path(__file__).with_name("watchdog.py")
LOG_LIMIT_BYTES = 10 * 1024 * 1024
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Command:
    """What to run, as whom, and how to end it. `env` is the whole environment; descriptors in `keep` are inherited."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
    account: Account | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    keep: Sequence[int] = ()

    def order(self) -> str:
        """The command as the watchdog reads it."""
        return json.dumps(
            {
                "argv": [str(part) for part in self.argv],
                "env": dict(self.env),
                "cwd": str(self.cwd) if self.cwd else "/",
                "uid": self.account.uid if self.account else None,
                "gid": self.account.gid if self.account else None,
                "stop_signal": int(self.stop_signal),
                "grace_seconds": self.grace_seconds,
                "pass_fds": list(self.keep),
                "parent": os.getpid(),
            }
        )


class ChildFailed(OSError):
    """A child could not be started or ended too early; the text ends with the last lines of its log."""


class Child:
    """A running command under its watchdog (see `watchdog.py`), its output appended to its own log file."""

    def __init__(self, command: Command) -> None:
        self.command = command
        log = _open_log(command.log)
        try:
            self.watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WATCHDOG)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                pass_fds=list(command.keep),
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(log)
        self.pid = self._give_order()

    @property
    def exit_code(self) -> int | None:
        """None while the child runs; 128 + the signal when one ended it."""
        return self.watchdog.poll()

    def stop(self) -> None:
        """Asks the child to end, kills it after its grace period, and returns when it is gone; may be called again."""
        self._tell(b"stop\n")
        self.wait()

    def wait(self, seconds: float | None = None) -> int | None:
        """Waits until the child ends by itself; its exit code, or None when it still runs after `seconds`."""
        try:
            code = self.watchdog.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        assert self.watchdog.stdin is not None
        self.watchdog.stdin.close()
        return code

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns as soon as `ready()`; ChildFailed when the child ends first, or time is up (then it is stopped)."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                self.stop()
                raise self.failure(f"{self.command.name} ended with exit code {self.exit_code} before it was ready")
            if time.monotonic() > deadline:
                self.stop()
                raise self.failure(f"{self.command.name} was not ready within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def failure(self, what: str) -> ChildFailed:
        """An error that says `what` happened and shows the end of the log."""
        return ChildFailed(f"{what}. The end of {self.command.log}:\n{log_tail(self.command.log)}")

    def _give_order(self) -> int:
        """The child's process id, known once it has really started; raises ChildFailed when it has not."""
        assert self.watchdog.stdout is not None
        self._tell(self.command.order().encode() + b"\n")
        with self.watchdog.stdout as answer:
            line = answer.readline()
        if not line:
            self.stop()
            raise self.failure(f"{self.command.name} did not start")
        return int(line)

    def _tell(self, line: bytes) -> None:
        """Says something to the watchdog, unless it has ended already."""
        pipe = self.watchdog.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            if not pipe.closed:
                pipe.write(line)


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, indented for use inside a message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        text = file.read().decode(errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def _open_log(log: Path) -> int:
    """Opened for appending, readable by us alone; a log grown over the limit makes way for a new one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".previous.log"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
