"""Where requests do what takes a thread: a few threads for each kind of work, and nobody waits in line for long.

A request waits before it has a thread, and a thread never waits for a connection: there are as many as threads. Work of
one kind does not stand in the way of another's, and who would have to wait longer than is good for anybody is refused
at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar

from anyio import CapacityLimiter, to_thread

from app.domain.errors import Overloaded

Answer = TypeVar("Answer")
LaneName = Literal["reads", "bulk", "writes", "files"]

RETRY_SECONDS = 1
SMOOTHING = 0.1
"""How much the newest piece of work counts in what a piece takes."""


class Lane:
    """So many threads, and a line of those who will have one within `patience` seconds, by what work took of late."""

    def __init__(self, threads: int, patience: float) -> None:
        self.threads, self.patience = threads, patience
        self.seconds = 0.0
        self._limiter = CapacityLimiter(threads)

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """What `work` gives, done in a thread of this lane. Raises Overloaded where the line is too long."""
        if self.wait > self.patience:
            raise Overloaded(
                "The server has more to do than it can answer soon.",
                hint=f"Ask again in {RETRY_SECONDS} s; nothing was begun.",
            )
        return await to_thread.run_sync(self._timed, work, limiter=self._limiter)

    @property
    def wait(self) -> float:
        """Seconds until somebody who comes now has a thread."""
        if not self._limiter.available_tokens:
            return (self._limiter.statistics().tasks_waiting + 1) * self.seconds / self.threads
        return 0.0

    def _timed(self, work: Callable[[], Answer]) -> Answer:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds += SMOOTHING * (time.perf_counter() - began - self.seconds)


@dataclass(frozen=True)
class Lanes:
    """The kinds of work of the web service.

    `reads` look at a few rows; `bulk` answers are long and cost the processor; `writes` change rows; `files` wait for
    the disk, the object store or a reader of strangers' files, each for its own caller.
    """

    reads: Lane = field(default_factory=lambda: Lane(4, 1.0))
    bulk: Lane = field(default_factory=lambda: Lane(2, 1.0))
    writes: Lane = field(default_factory=lambda: Lane(6, 10.0))
    files: Lane = field(default_factory=lambda: Lane(8, 30.0))

    def __iter__(self) -> Iterator[Lane]:
        return (getattr(self, one.name) for one in fields(self))

    @property
    def threads(self) -> int:
        """Of all lanes together: as many connections may be in use at once."""
        return sum(lane.threads for lane in self)
