"""What belongs to a server that brings everything along, as a test takes it away and gives it back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.embedded.processes import is_running
from tests.faults.watching import wait_for
from tests.faults.workers import Worker

START_SECONDS = 120.0


class ServersChild:
    """PostgreSQL or Valkey as a child of the server, which starts it again whenever it ends.

    To keep it away a test takes a file that it cannot start without; what counts is that the server tries again.
    """

    def __init__(self, find: Callable[[], int | None], needs: Callable[[], Path], answers: Callable[[], bool]) -> None:
        self._find, self._needs, self._answers = find, needs, answers

    def stop(self) -> None:
        self._end(signal.SIGINT)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def start(self) -> None:
        if not self.up:
            self._aside.rename(self._needs())
        wait_for(self._answers, START_SECONDS, "the return of a server")

    def freeze(self) -> None:
        """It listens, but takes no notice."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def up(self) -> bool:
        return not self._aside.exists()

    @property
    def _aside(self) -> Path:
        return self._needs().with_suffix(".aside")

    def _end(self, number: signal.Signals) -> None:
        self._needs().rename(self._aside)
        pid = self._find()
        assert pid is not None
        os.kill(pid, number)
        wait_for(lambda: not is_running(pid), 20, "the end of a server")

    def _signal(self, number: signal.Signals) -> None:
        if pid := self._find():
            os.kill(pid, number)


@dataclass(frozen=True)
class Folder:
    """The folder of the objects: `stop` and `kill` take it away, as a disk that is not mounted."""

    path: Path

    def stop(self) -> None:
        self.path.rename(self._aside)

    kill = stop

    def start(self) -> None:
        self._aside.rename(self.path)

    @property
    def up(self) -> bool:
        return self.path.exists()

    @property
    def _aside(self) -> Path:
        return self.path.with_suffix(".aside")


@dataclass(frozen=True)
class LoopbackLine:
    """There is no line to cut to a child: one that is frozen swallows everything, one that is down refuses it."""

    server: ServersChild

    def set(self, line: Literal["open", "dead", "cut"]) -> None:
        if line == "dead":
            self.server.freeze()
        elif line == "cut":
            self.server.kill()
        else:
            self.server.thaw()
            self.server.start()


@dataclass(frozen=True)
class OwnWorker(Worker):
    """The server's own worker. The next one waits until a test has given new orders."""

    orders: Path = Path()

    def kill(self) -> None:
        self.orders.unlink(missing_ok=True)
        super().kill()

    def terminate(self) -> None:
        self.orders.unlink(missing_ok=True)
        super().terminate()
