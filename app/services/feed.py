"""Who waits for a job hears when something happened to it: one listener for any number of waiters.

PostgreSQL announces a job's id when a transaction that touched it commits (app.db.events). The announcement says only
that there is something to read; a waiter that misses one reads at its next time-out.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
import structlog
from psycopg.conninfo import make_conninfo

from app.db.events import CHANNEL
from app.db.unit import CONNECTION

log = structlog.get_logger()

RETRY_SECONDS = 1.0


class JobFeed:
    """The listener and the bells it rings."""

    def __init__(self, database_url: str) -> None:
        plain = database_url.replace("postgresql+psycopg://", "postgresql://")
        self.conninfo = make_conninfo(plain, **CONNECTION)  # a listener notices when nobody is at the other end
        self.bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        listener = asyncio.create_task(self._listen_forever())
        try:
            yield
        finally:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    @contextmanager
    def watch(self, job_id: str) -> Iterator[Bell]:
        """A bell for one waiter of one job. Take it before the first read, so that nothing falls between."""
        event = asyncio.Event()
        self.bells[job_id].add(event)
        try:
            yield Bell(event)
        finally:
            self.bells[job_id].discard(event)
            if not self.bells[job_id]:
                del self.bells[job_id]

    async def _listen_forever(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._ring_all()
                    async for notice in connection.notifies():
                        self._ring(notice.payload)
            except (psycopg.Error, OSError) as error:
                log.warning("feed_disconnected", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    def _ring(self, job_id: str) -> None:
        for event in self.bells.get(job_id, ()):
            event.set()

    def _ring_all(self) -> None:
        """After a gap: anything may have happened to anyone."""
        for job_id in list(self.bells):
            self._ring(job_id)


class Bell:
    """Rings when something happened since the last wait began."""

    def __init__(self, event: asyncio.Event) -> None:
        self.event = event

    async def wait(self, seconds: float) -> bool:
        """Whether it rang within `seconds`; the next wait starts afresh."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        self.event.clear()
        return True
