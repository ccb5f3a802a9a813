"""One read for all who want to know the same thing at the same time, and none of them is told what was true before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

Found = TypeVar("Found")


class Sharing:
    """Reads under way. Who asks while one is running shares the next one, which begins after everybody asked."""

    def __init__(self) -> None:
        self.running: dict[Hashable, asyncio.Task[Any]] = {}
        self.coming: dict[Hashable, asyncio.Task[Any]] = {}

    async def ask(self, about: Hashable, read: Callable[[], Awaitable[Found]]) -> Found:
        """What `read` finds, begun no earlier than now. A caller who goes away takes nobody's answer along."""
        task = self.coming.get(about)
        if task is None:
            task = self.coming[about] = asyncio.create_task(self._in_turn(about, read))
            task.add_done_callback(_heard)
        return cast(Found, await asyncio.shield(task))

    async def _in_turn(self, about: Hashable, read: Callable[[], Awaitable[Found]]) -> Found:
        before = self.running.get(about)
        if before is not None:
            await asyncio.wait([before])
        task = self.running[about] = self.coming.pop(about)
        try:
            return await read()
        finally:
            if self.running.get(about) is task:
                del self.running[about]


def _heard(task: asyncio.Task[Any]) -> None:
    """An error that nobody is left to hear is no news to the event loop."""
    if not task.cancelled():
        task.exception()
