"""Workers that a test can kill, and where they come from."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tests.embedded.processes import is_running
from tests.faults.specs import Kind
from tests.faults.watching import wait_for


@dataclass(frozen=True)
class Worker:
    """A Celery worker with its children: one process group. Its log may begin with what others have said."""

    group: int
    log: Path
    log_start: int = 0

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        wait_for(lambda: not is_running(self.group), 10, "the end of a killed worker")

    def terminate(self) -> None:
        """As a supervisor ends it: SIGTERM to the parent alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.group, signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """To everyone of the group; it is no error when nobody is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)

    @property
    def alive(self) -> bool:
        return is_running(self.group)

    @property
    def said(self) -> str:
        """What it has logged."""
        return self.log.read_bytes()[self.log_start :].decode(errors="replace")


class Nursery:
    """A process that forks workers, see `nursery.py`; started at once, ready when first asked."""

    def __init__(self, kind: Kind, environment: Mapping[str, str], folder: Path) -> None:
        self._folder, self._count, self._kind = folder, 0, kind
        with (folder / f"nursery-{kind}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
        self._ready = False

    def fork(self, environment: Mapping[str, str]) -> Worker:
        self._count += 1
        log = self._folder / f"worker-{self._kind}-{self._count}.log"
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if not self._ready:
            assert stdout.readline() == b"ready\n", (self._folder / f"nursery-{self._kind}.log").read_text()
            self._ready = True
        stdin.write(json.dumps({"env": dict(environment), "log": str(log)}).encode() + b"\n")
        stdin.flush()
        return Worker(int(stdout.readline()), log)

    def close(self) -> None:
        """Kills every worker that is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@contextmanager
def nurseries(environment: Mapping[str, str], folder: Path) -> Iterator[dict[Kind, Nursery]]:
    """Of both kinds; they import while the servers start."""
    both: dict[Kind, Nursery] = {kind: Nursery(kind, environment, folder) for kind in get_args(Kind)}
    try:
        yield both
    finally:
        for nursery in both.values():
            nursery.close()
