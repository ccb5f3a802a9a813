"""One piece of work at a time, for all who ask while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class UnderWay:
    """Work that is begun by the first who asks. A caller who goes away takes nobody's answer along."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def join(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Returns when what is under way, or is begun now, is over; raises what it raised."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(work())
            self._task.add_done_callback(heard)
        await asyncio.shield(self._task)

    async def rest(self, seconds: float) -> None:
        """Returns when nothing is under way, or after so many seconds."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)


def heard(task: asyncio.Task[Any]) -> None:
    """An error that nobody is left to hear is no news to the event loop."""
    if not task.cancelled():
        task.exception()
