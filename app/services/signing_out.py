"""Who signs out has ended the session in every process of the service, not only in the browser."""

from __future__ import annotations

import time
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from app.db.pool import DATABASE_AWAY
from app.db.unit import Database
from app.domain.errors import Unavailable
from app.services.shared_work import UnderWay

FRESH_SECONDS = 1.0
"""How old what we know of other processes may be: one small read a second serves every caller."""


class SignedOut:
    """The sessions that were ended before their time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads = UnderWay()
        self._ended: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    async def has(self, session_id: str) -> bool:
        """Whether it was ended: here at any time before, elsewhere a second ago. Raises Unavailable."""
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            try:
                await self._reads.join(self._look)
            except DATABASE_AWAY as error:
                raise Unavailable("The database does not answer.", hint="Try again shortly.") from error
        return session_id in self._ended

    def end(self, session_id: str, expires_at: datetime, owner: str) -> None:
        """Let nobody in by it again."""
        with self._database.unit() as unit:
            unit.sessions.end(session_id, expires_at, owner)
        self._ended |= {session_id}

    async def rest(self) -> None:
        """For the end of the service: a read that is under way gives its connection back."""
        await self._reads.rest(FRESH_SECONDS)

    async def _look(self) -> None:
        began = time.monotonic()
        ended = await run_in_threadpool(self._read)
        self._ended, self._read_at = ended, began

    def _read(self) -> frozenset[str]:
        with self._database.glance() as unit:
            return unit.sessions.ended()
