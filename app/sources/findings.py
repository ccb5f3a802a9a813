"""What was found in files, kept for as long as they are the same: each is looked at once, whoever asks meanwhile."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass
class Remembered:
    """Answers as texts, the oldest of which go when all together have more than `most` characters."""

    most: int = 16_000_000
    _answers: dict[str, Future[str]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _held: int = 0

    def once(self, about: object, look: Callable[[], str]) -> str:
        """What `look` finds. All who ask the same meanwhile wait for one look, and what is wrong is looked at again.

        `about` says by its `repr` what the answer depends on: the question, and the stamps of files.
        """
        name = hashlib.sha256(repr(about).encode(errors="replace")).hexdigest()
        with self._guard:
            known = self._answers.get(name)
            if known is None:
                future = self._answers[name] = Future()
        if known is not None:
            return known.result()
        try:
            answer = look()
        except BaseException as error:
            with self._guard:
                del self._answers[name]
            future.set_exception(error)
            raise
        self._keep(name, future, answer)
        return answer

    def _keep(self, name: str, future: Future[str], answer: str) -> None:
        """Hand it to those who wait, count it, and let go of the oldest that are there."""
        with self._guard:
            future.set_result(answer)
            self._held += len(answer)
            done = [key for key, answer in self._answers.items() if key != name and answer.done()]
            for key in done:
                if self._held <= self.most:
                    return
                self._held -= len(self._answers.pop(key).result())
