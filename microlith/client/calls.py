"""What every group of calls shares: the connection, an answer by its path, a list page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from microlith.client.answers import Answered, read
from microlith.client.connection import Connection
from microlith.contract import Page

T = TypeVar("T")


class Calls:
    """Calls to one server."""

    def __init__(self, server: Connection) -> None:
        self._server = server

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._server.base_url

    @property
    def has_key(self) -> bool:
        """Whether requests carry a key."""
        return self._server.has_key

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        """What `work` answers: something heavy that others should not have to wait for."""
        return await self._server.aside(work, *args)

    async def _get(self, model: type[Answered], path: str) -> Answered:
        return read(model, await self._server.send("GET", path))

    async def _post(self, model: type[Answered], path: str) -> Answered:
        return read(model, await self._server.send("POST", path))

    async def _pages(self, model: type[Answered], path: str, params: dict[str, str]) -> AsyncIterator[Answered]:
        cursor: dict[str, str] = {}
        while True:
            answer = await self._server.send("GET", path, params={**params, **cursor})
            page = read(Page[model], answer)  # type: ignore[valid-type]
            for item in page.data:
                yield item
            if page.next_cursor is None:
                return
            cursor = {"cursor": page.next_cursor}
