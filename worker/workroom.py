"""What a job works with: a folder of its own, and a clean process that opens what it makes."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.settings import Settings
from worker.packaging.verify import Verifier
from worker.scratch import scratch


@contextmanager
def workroom(settings: Settings) -> Iterator[tuple[Path, Verifier]]:
    """Both are gone when the block ends; but the clean process of one that serves several jobs waits for the next."""
    with scratch() as folder:
        if settings.jobs_per_child > 1:
            yield folder, _kept.verifier()
            return
        with Verifier(folder) as verifier:
            yield folder, verifier


class _Kept:
    """The clean process of this one, started when it is first asked for, and anew when it has failed a job."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._verifier: Verifier | None = None
        atexit.register(self._held.close)

    def verifier(self) -> Verifier:
        if self._verifier is None or not self._verifier.sound:
            self._held.close()
            self._verifier = self._held.enter_context(Verifier(self._held.enter_context(scratch())))
        return self._verifier


_kept = _Kept()
