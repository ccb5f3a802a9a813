"""Whether the parts that a server needs answer: looked at once for all who ask, in time whatever is frozen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from app.services.backend import Backend
from app.services.shared_work import UnderWay

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 1.5
"""For a part to answer; with all that is around it, a look is over within two seconds."""

SILENT = "it does not answer"


class Readiness:
    """The last look, and the next one. Each part has one thread at most, which a frozen part keeps."""

    def __init__(self, checks: Mapping[str, Callable[[], None]]) -> None:
        self._parts = {name: _CheckedPart(name, check) for name, check in checks.items()}
        self._looks = UnderWay()
        self._found: dict[str, str] = {}
        self._looked_at = float("-inf")

    @classmethod
    def of(cls, backend: Backend) -> Readiness:
        """That of everything a server holds."""
        return cls(backend.checks())

    async def look(self) -> dict[str, str]:
        """Each part's fault, or `ok`, as it was no more than a second ago."""
        if time.monotonic() - self._looked_at > FRESH_SECONDS:
            await self._looks.join(self._look)
        return self._found

    async def rest(self) -> None:
        """For the end of the service: checks that are under way give back what they use, unless it is frozen."""
        await self._looks.rest(PATIENCE_SECONDS)
        await asyncio.gather(*(part.rest() for part in self._parts.values()))

    async def _look(self) -> None:
        states = await asyncio.gather(*(part.state() for part in self._parts.values()))
        self._found, self._looked_at = dict(zip(self._parts, states, strict=True)), time.monotonic()


class _CheckedPart:
    """One part and the check of it that is under way."""

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self._name, self._check = name, check
        self._under_way: Future[str] | None = None

    async def rest(self) -> None:
        """Returns when no check is under way, or after a while."""
        if self._under_way is not None:
            await asyncio.wait([asyncio.wrap_future(self._under_way)], timeout=PATIENCE_SECONDS)

    async def state(self) -> str:
        """`ok`, or what is wrong; a check that has not come back since the last look is not begun again."""
        if self._under_way is None or self._under_way.done():
            self._under_way = Future()
            threading.Thread(target=self._run, args=(self._under_way,), name=f"check-{self._name}", daemon=True).start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asyncio.shield(asyncio.wrap_future(self._under_way))
        except TimeoutError:
            return SILENT

    def _run(self, answer: Future[str]) -> None:
        try:
            self._check()
        except Exception as error:  # whatever a part says, readiness reports it
            answer.set_result(f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            answer.set_result("ok")
