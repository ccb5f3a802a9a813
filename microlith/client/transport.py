"""The two ways to touch the world: one holds the thread while it waits, the other gives way to an event loop.

Every method is a coroutine. Those of `Blocking` never suspend, which is what microlith.client.blocking relies on.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpx

T = TypeVar("T")

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class FileBody:
    """A file as a request's body, read anew for every try; `on_bytes(done, total)` hears how much has left."""

    path: Path
    size_bytes: int
    on_bytes: Callable[[int, int], object] | None = None

    def left(self, done: int) -> None:
        """Say how much has left."""
        if self.on_bytes:
            self.on_bytes(done, self.size_bytes)


class Transport(Protocol):
    """What a connection needs of the world."""

    @property
    def http(self) -> httpx.Client | httpx.AsyncClient: ...

    async def send(self, request: httpx.Request, *, stream: bool) -> httpx.Response: ...
    async def read(self, answer: httpx.Response) -> None: ...
    async def leave(self, answer: httpx.Response) -> None: ...
    def pieces(self, answer: httpx.Response, *, raw: bool) -> AsyncIterator[bytes]: ...
    def content(self, body: FileBody) -> Any: ...
    async def pause(self, seconds: float) -> None: ...
    async def aside(self, work: Callable[..., T], *args: Any) -> T: ...
    async def close(self) -> None: ...


class Blocking:
    """Waits by holding the thread."""

    def __init__(self, **options: Any) -> None:
        self.http = httpx.Client(**options)

    async def send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        return self.http.send(request, stream=stream)

    async def read(self, answer: httpx.Response) -> None:
        answer.read()

    async def leave(self, answer: httpx.Response) -> None:
        answer.close()

    async def pieces(self, answer: httpx.Response, *, raw: bool) -> AsyncIterator[bytes]:
        for piece in answer.iter_raw() if raw else answer.iter_bytes():
            yield piece

    def content(self, body: FileBody) -> _Pieces:
        return _Pieces(body)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        return work(*args)

    async def close(self) -> None:
        self.http.close()


class Suspending:
    """Waits by giving way to the event loop; what is heavy is done in a thread."""

    def __init__(self, **options: Any) -> None:
        self.http = httpx.AsyncClient(**options)

    async def send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        return await self.http.send(request, stream=stream)

    async def read(self, answer: httpx.Response) -> None:
        await answer.aread()

    async def leave(self, answer: httpx.Response) -> None:
        await answer.aclose()

    async def pieces(self, answer: httpx.Response, *, raw: bool) -> AsyncIterator[bytes]:
        async for piece in answer.aiter_raw() if raw else answer.aiter_bytes():
            yield piece

    def content(self, body: FileBody) -> _AsyncPieces:
        return _AsyncPieces(body)

    async def pause(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(work, *args)

    async def close(self) -> None:
        await self.http.aclose()


@dataclass(frozen=True)
class _Pieces:
    body: FileBody

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        with self.body.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                self.body.left(done)


@dataclass(frozen=True)
class _AsyncPieces:
    body: FileBody

    async def __aiter__(self) -> AsyncIterator[bytes]:
        done = 0
        async with await anyio.open_file(self.body.path, "rb") as file:
            while chunk := await file.read(CHUNK_BYTES):
                yield chunk
                done += len(chunk)
                self.body.left(done)
