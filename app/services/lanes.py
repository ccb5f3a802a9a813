"""Where requests do what takes a thread: a few threads for each kind of work, and nobody waits in line for long.

A request waits before it has a thread, and a thread never waits for a connection: there are as many as threads. Work of
one kind does not stand in the way of another's, and who would have to wait longer than is good for anybody is refused
at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar, cast

from anyio import CapacityLimiter, to_thread

from app.domain.errors import Overloaded
from app.services.shared_work import heard
from app.services.waiting_lines import Lines

Answer = TypeVar("Answer")
LaneName = Literal["looks", "reads", "bulk", "writes", "plans", "downloads", "files"]

REST_SECONDS = 2.0
SMOOTHING = 0.1
"""How much the newest piece of work counts in what a piece takes."""


def too_much() -> Overloaded:
    """What somebody is told who would wait longer than is good for anybody."""
    return Overloaded(
        "The server has more requests than it can answer soon.",
        hint=f"Send the request again in {Overloaded.retry_after} s. Nothing was begun.",
    )


class Lane:
    """So many threads, and lines of those who will have one within `patience` seconds, by what work took of late."""

    def __init__(self, threads: int, patience: float) -> None:
        self.threads, self.patience = threads, patience
        self._seconds = 0.0
        self._free = threads
        self._lines = Lines()
        self._coming: dict[Hashable, asyncio.Task[Any]] = {}
        self._shared_tasks: set[asyncio.Task[Any]] = set()
        self._limiter = CapacityLimiter(threads)

    async def run(self, about: Hashable, work: Callable[[], Answer]) -> Answer:
        """What `work` gives, done in a thread of this lane. Raises Overloaded where the line is too long.

        Who asks `about` the same stands in one line.
        """
        await self._enter(about)
        return await self._work(work)

    async def share(self, about: Hashable, work: Callable[[], Answer]) -> Answer:
        """As `run`, once for all who ask about the same before the work begins: nobody is told what was true before.

        A caller who goes away takes nobody's answer along.
        """
        task = self._coming.get(about)
        if task is None:
            task = self._coming[about] = asyncio.create_task(self._shared(about, work))
            task.add_done_callback(heard)
            self._shared_tasks.add(task)
            task.add_done_callback(self._shared_tasks.discard)
        return cast(Answer, await asyncio.shield(task))

    async def _shared(self, about: Hashable, work: Callable[[], Answer]) -> Answer:
        try:
            await self._enter(about)
        finally:
            del self._coming[about]
        return await self._work(work)

    async def rest(self, seconds: float) -> None:
        """Returns when what is shared is over, whoever has left meanwhile, or after so many seconds."""
        if self._shared_tasks:
            await asyncio.wait(self._shared_tasks, timeout=seconds)

    def wait(self, about: Hashable) -> float:
        """Seconds until somebody who comes now has a thread."""
        return 0.0 if self._free else (self._lines.ahead(about) + 1) * self._seconds / self.threads

    async def _enter(self, about: Hashable) -> None:
        if self.wait(about) > self.patience:
            raise too_much()
        if self._free:
            self._free -= 1
            return
        turn = self._lines.join(about)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    async def _work(self, work: Callable[[], Answer]) -> Answer:
        try:
            return await to_thread.run_sync(self._timed, work, limiter=self._limiter)
        finally:
            self._leave()

    def _leave(self) -> None:
        """Whoever waits takes over."""
        if not self._lines.call():
            self._free += 1

    def _timed(self, work: Callable[[], Answer]) -> Answer:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._seconds += SMOOTHING * (time.perf_counter() - began - self._seconds)


@dataclass(frozen=True)
class Lanes:
    """The kinds of work of the web service.

    `looks` are at one row, `reads` at a page of rows, `bulk` answers are long: what costs the processor has one thread,
    since a second one would only take from everybody else. `writes` change rows. `plans` look at models, data and specs
    that most often are known. `downloads` ask the object store. `files` wait for a reader of strangers' files, each for
    its own caller.
    """

    looks: Lane = field(default_factory=lambda: Lane(2, 0.7))
    reads: Lane = field(default_factory=lambda: Lane(1, 0.6))
    bulk: Lane = field(default_factory=lambda: Lane(1, 0.5))
    writes: Lane = field(default_factory=lambda: Lane(6, 10.0))
    plans: Lane = field(default_factory=lambda: Lane(6, 10.0))
    downloads: Lane = field(default_factory=lambda: Lane(4, 5.0))
    files: Lane = field(default_factory=lambda: Lane(8, 30.0))

    async def rest(self) -> None:
        """For the end of the service: work that has begun gives its connection back."""
        await asyncio.gather(*(lane.rest(REST_SECONDS) for lane in self))

    def __iter__(self) -> Iterator[Lane]:
        return (getattr(self, one.name) for one in fields(self))

    @property
    def threads(self) -> int:
        """Of all lanes together: as many connections may be in use at once."""
        return sum(lane.threads for lane in self)
