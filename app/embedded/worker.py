"""A worker child that is started again when it dies, until that has become hopeless."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from app.embedded.child import Child, ChildFailed, Command

MAX_DEATHS = 5
WITHIN_SECONDS = 120.0
"""A worker that died MAX_DEATHS times within this span is given up."""

FIRST_PAUSE_SECONDS = 0.5

logger = logging.getLogger(__name__)


class SupervisedWorker:
    """The running worker and the thread that watches it. The pause before a restart doubles with every recent death."""

    def __init__(self, command: Command, on_give_up: Callable[[str], None] | None = None) -> None:
        self._command = command
        self._on_give_up = on_give_up or logger.critical
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._stopping = threading.Event()
        self._child = Child(command)
        self._thread = threading.Thread(target=self._watch, name=f"watch-{command.name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process id of the worker now, or of the last one."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """False while it is down, and for good after it was given up or stopped."""
        return self._child.exit_code is None

    def stop(self) -> None:
        """Ends the worker; it is not started again. Returns when it is gone."""
        self._stopping.set()
        self._child.stop()
        self._thread.join()
        self._child.stop()  # the watcher may have started one more before it saw the end

    def _watch(self) -> None:
        """Each round waits for one death and answers it."""
        failure: Exception | None = None
        while True:
            if failure is None:
                code = self._child.wait()
                failure = self._child.failure(f"{self._command.name} ended with exit code {code}")
            if not self._may_restart(failure):
                return
            try:
                self._child, failure = Child(self._command), None
            except ChildFailed as error:
                failure = error

    def _may_restart(self, failure: Exception) -> bool:
        """True after the pause that the recent deaths ask for; False when it is being stopped or given up."""
        now = time.monotonic()
        self._deaths.append(now)
        recent = sum(now - death < WITHIN_SECONDS for death in self._deaths)
        if self._stopping.is_set():
            return False
        if recent == MAX_DEATHS:
            self._on_give_up(f"{self._command.name} died {MAX_DEATHS} times in a row and stays down. {failure}")
            return False
        pause = FIRST_PAUSE_SECONDS * 2 ** (recent - 1)
        logger.error("%s\nIt is started again in %.1f s.", failure, pause)
        return not self._stopping.wait(pause)
