"""A child that is started again whenever it ends, for as long as it is wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf

from app.embedded.child import Child

RECENT_SECONDS = 120.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

logger = logging.getLogger(__name__)


class Supervised:
    """The running child and the thread that watches it.

    `start` makes the next process; it is back when it is `ready`, however long that takes: a database may have much to
    recover. The pause before a start doubles with every death of the last two minutes, up to half a minute. There is no
    giving up: a disk that is full may have room again, and nobody else would start it.
    """

    def __init__(self, child: Child, start: Callable[[], Child], *, ready: Callable[[], bool] = lambda: True) -> None:
        self._child, self._start, self._ready = child, start, ready
        self._name = child.command.name
        self._deaths: deque[float] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{self._name}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process id of the child now, or of the last one."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """False while it is down, and for good after it was stopped."""
        return self._child.exit_code is None

    def stop(self) -> None:
        """Ends the child; it is not started again. Returns when it is gone."""
        self._stopping.set()
        self._child.stop()
        self._thread.join()
        self._child.stop()  # the watcher may have started one more before it saw the end

    def _watch(self) -> None:
        """Each round answers one death with one more life."""
        failure = self._live()
        while self._may_restart(failure):
            failure = self._restart()

    def _restart(self) -> Exception:
        """One more life, from start to death; what it died of."""
        try:
            self._child = self._start()
            self._child.wait_until(lambda: self._stopping.is_set() or self._ready(), inf)
        except Exception as failure:  # whatever keeps it from starting now may be over at the next try
            return failure
        logger.warning("%s is back.", self._name)
        return self._live()

    def _live(self) -> Exception:
        """Waits for the end of the child; what it died of."""
        code = self._child.wait()
        return self._child.failure(f"{self._name} ended with exit code {code}")

    def _may_restart(self, failure: Exception) -> bool:
        """True after the pause that the recent deaths ask for; False when the child is not wanted any more."""
        if self._stopping.is_set():
            return False
        pause = self._pause(time.monotonic())
        logger.error("%s\nIt is started again in %.1f s.", failure, pause)
        return not self._stopping.wait(pause)

    def _pause(self, now: float) -> float:
        """Seconds until the start that answers a death `now`."""
        self._deaths.append(now)
        while self._deaths[0] < now - RECENT_SECONDS:
            self._deaths.popleft()
        return min(FIRST_PAUSE_SECONDS * 2.0 ** (len(self._deaths) - 1), LONGEST_PAUSE_SECONDS)
