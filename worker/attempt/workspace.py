"""What a job works with: a folder of its own, and a clean process that opens what it makes."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.settings import Settings
from worker.attempt.scratch import scratch
from worker.packaging.verify import Verifier

IDLE_SECONDS = 300.0
"""A clean process that nobody has needed for so long is ended: it holds 0.4 GB."""


@contextmanager
def workroom(settings: Settings) -> Iterator[tuple[Path, Verifier]]:
    """Both are gone when the block ends; but the clean process of one that serves several jobs waits for the next."""
    with scratch() as folder, spare.lend() if settings.jobs_per_child > 1 else Verifier(folder) as verifier:
        yield folder, verifier


class SpareVerifier:
    """The clean process of a worker, started when it is first needed, and anew when it has failed a job or was idle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._verifier: Verifier | None = None
        self._idle: threading.Timer | None = None
        atexit.register(self.close)

    @contextmanager
    def lend(self) -> Iterator[Verifier]:
        """For one job; what it leaves unsound is not lent again."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
            verifier = self._find_sound()
        try:
            yield verifier
        finally:
            self._idle = threading.Timer(IDLE_SECONDS, self.end)
            self._idle.daemon = True
            self._idle.start()

    def end(self) -> None:
        """Nobody has needed it for long. It lives on if it was lent again at the last moment."""
        with self._lock:
            if self._idle is not None:
                self._held.close()
                self._verifier = None

    def close(self) -> None:
        """Ends it, whoever uses it."""
        self._held.close()

    def _find_sound(self) -> Verifier:
        if self._verifier is None or not self._verifier.sound:
            self._held.close()
            self._verifier = self._held.enter_context(Verifier(self._held.enter_context(scratch())))
        return self._verifier


spare = SpareVerifier()
