"""Callers of the service, many in one event loop, who cost less than what they measure: HTTP/1.1 by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

SPEC = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "concerns": ["act"], "reuse": False}


class Refused(Exception):
    """An answer that should not have come."""


@dataclass
class Connection:
    """One kept connection; requests go one after another."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer. Raises Refused for any status but success."""
        length = await self._send(method, path, body)
        content = await self.reader.readexactly(length)
        return json.loads(content) if content else None

    async def events(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """What a stream sends until it ends."""
        await self._send("GET", path, accept="text/event-stream")
        while size := int(await self.reader.readline(), 16):
            block = await self.reader.readexactly(size + 2)
            for line in block.decode().splitlines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])
        await self.reader.readline()

    async def _send(self, method: str, path: str, body: Any = None, accept: str = "application/json") -> int:
        """Send, and read the head of the answer; its length in bytes, 0 for a stream."""
        content = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\nContent-Type: application/json\r\n"
        self.writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        await self.writer.drain()
        status, *headers = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        if not status.split()[1].startswith("2"):
            raise Refused(f"{method} {path}: {status}")
        found = dict(line.lower().split(": ", 1) for line in headers if line)
        return int(found.get("content-length", 0))


@dataclass
class Load:
    """Followers and submitters for a while, and what they saw."""

    port: int
    seconds: float
    followers: int
    submitters: int
    pause: float
    newest: dict[int, str] = field(default_factory=dict)  # of each submitter
    news: defaultdict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    times: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """All of them at once; who still follows when time is up hangs up."""
        self.until = time.monotonic() + self.seconds
        submitting = [asyncio.create_task(self.safely(self.submit(n))) for n in range(self.submitters)]
        following = [asyncio.create_task(self.safely(self.follow(n))) for n in range(self.followers)]
        await asyncio.gather(*submitting)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    async def safely(self, story: Any) -> None:
        try:
            await story
        except (Refused, OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.errors[f"{type(error).__name__}: {error}"[:120]] += 1

    async def submit(self, number: int) -> None:
        """A job, what became of it, and what there is besides; then a pause, so that callers do not march in step."""
        dice = Random(number)
        await asyncio.sleep(dice.uniform(0, self.pause))
        async with Connection.open(self.port) as connection:
            while time.monotonic() < self.until:
                job = await self.timed(connection, "POST", "/v1/jobs", SPEC | {"labels": {"caller": str(number)}})
                self.tell(number, job["id"])
                await asyncio.sleep(dice.uniform(0.5, 1.5) * self.pause / 2)
                await self.timed(connection, "GET", job["urls"]["self"])
                await self.timed(connection, "GET", f"/v1/jobs?label.caller={number}")
                await asyncio.sleep(dice.uniform(0.5, 1.5) * self.pause / 2)

    def tell(self, number: int, job: str) -> None:
        """Those who follow this submitter hear of its newest job."""
        self.newest[number] = job
        self.news.pop(number, asyncio.Event()).set()

    async def follow(self, number: int) -> None:
        """The newest job of one submitter to its end, then the newest of then."""
        submitter, job = number % self.submitters, ""
        async with Connection.open(self.port) as connection:
            while time.monotonic() < self.until:
                if self.newest.get(submitter, "") == job:
                    await self.news[submitter].wait()
                job = self.newest[submitter]
                async for _ in connection.events(f"/v1/jobs/{job}/events"):
                    self.counts["events"] += 1
                self.counts["followed to the end"] += 1

    async def timed(self, connection: Connection, method: str, path: str, body: Any = None) -> Any:
        began = time.perf_counter()
        answer = await connection.ask(method, path, body)
        self.times[method].append(time.perf_counter() - began)
        return answer
