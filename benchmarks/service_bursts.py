"""Many requests in one moment, and a bystander who asks for little meanwhile.

All connections are open before the first byte is sent. Slow clients hold others: half a request, or an answer that
nobody reads.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from sqlalchemy import select

from app.db.tables import ModuleRow
from app.db.unit import Database
from benchmarks.service_load import SPEC, Connection

HOST = "127.0.0.1"
SIZES = (60, 200, 500)
JOBS, CLASSES, LAYERS = 24, 12, 12
SLOW_CLIENTS = 20
BYSTANDER_PAUSE = 0.02
BEFORE_SECONDS, AFTER_SECONDS = 1.5, 0.5
"""The bystander asks so long before the burst (it has to start) and after its last answer."""

MOST_SECONDS = 60.0

ABOUT = (
    f"Requests that come in one moment, all connections open before: equal ones (a job's results), modules of {JOBS} "
    "jobs, and everything mixed (jobs, results, modules, lists, pages). A refused one is told at once to ask again a "
    f"second later. {SLOW_CLIENTS} slow clients hold half a request, or never read their answer. The bystander, a "
    "process of its own, asks for `/healthz`, a job of its own and `/v1/methods` in turn, each on a new connection:"
)


@dataclass
class Burst:
    """What came of one: the seconds of every answer, how many of each status, and what the bystander waited."""

    name: str
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    bystander: list[float] = field(default_factory=list)
    bystander_refused: int = 0

    @property
    def bystander_p99(self) -> float:
        """Milliseconds; the largest of fewer than a hundred."""
        ordered = sorted(self.bystander)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]

    @property
    def slowest(self) -> float:
        return max(self.seconds)

    @property
    def failed(self) -> int:
        """Answers that are neither what was asked for nor a refusal that says when to ask again."""
        return sum(count for status, count in self.statuses.items() if status not in ("200", "503"))

    def told(self) -> dict[str, Any]:
        return {
            "burst": self.name,
            "answered": self.statuses["200"],
            "refused": self.statuses["503"],
            "failed": self.failed,
            "slowest answer, s": round(self.slowest, 2),
            "bystander's requests": len(self.bystander),
            "bystander p99, ms": round(self.bystander_p99, 1),
            "bystander refused": self.bystander_refused,
        }


def table(told: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    head = f"| {' | '.join(told[0])} |"
    rows = [f"| {' | '.join(str(value) for value in one.values())} |" for one in told]
    return [ABOUT, "", head, "|---|" + "--:|" * (len(told[0]) - 1), *rows]


async def bursts(port: int, jobs: Sequence[str]) -> list[Burst]:
    """Bursts of every size: of equal requests, of one kind for many jobs, and of everything mixed."""
    *jobs, own = jobs
    one, modules = jobs[0], await _modules(port, jobs)
    kinds = {
        "equal": [f"/v1/jobs/{one}/results"],
        "modules": [f"/v1/jobs/{job}/modules" for job in jobs],
        "mixed": [
            path
            for job, module in zip(jobs, modules, strict=True)
            for path in (
                f"/v1/jobs/{job}",
                f"/v1/jobs/{job}/results",
                f"/v1/modules/{module}",
                "/v1/jobs?limit=20",
                f"/v1/jobs/{job}/modules",
                f"/jobs/{job}",
                "/v1/models",
            )
        ],
    }
    found = []
    async with _slow_clients(port, one):
        for name, paths in kinds.items():
            for size in SIZES:
                found.append(await _burst(port, f"{size} {name}", list(islice(cycle(paths), size)), own))
    return found


async def stocked(port: int, database: Database) -> list[str]:
    """Finished jobs with a dozen modules each, whose facts are as large as those of a real one with a dozen classes."""
    spec = SPEC | {"concerns": ["act", "animal", "artifact"], "ratio": [0.2, 0.4, 0.6, 0.8]}
    async with Connection.open(port) as connection:
        jobs = [(await connection.ask("POST", "/v1/jobs", spec))["id"] for _ in range(JOBS)]
        for job in jobs:
            while (state := (await connection.ask("GET", f"/v1/jobs/{job}"))["state"]) != "succeeded":
                assert state in ("queued", "running"), state
                await asyncio.sleep(0.1)
    with database.unit() as unit:
        for row in unit.session.scalars(select(ModuleRow)):
            classes = [row.facts["report"]["classes"][0] | {"id": n, "label": f"class {n}"} for n in range(CLASSES)]
            layers = {f"bert.encoder.layer.{n}.intermediate.dense": 0.5 for n in range(LAYERS)}
            row.facts = row.facts | {
                "report": row.facts["report"] | {"classes": classes},
                "sparsity": {"overall": 0.3, "layers": layers},
            }
    return jobs


async def _modules(port: int, jobs: Sequence[str]) -> list[str]:
    async with Connection.open(port) as connection:
        return [(await connection.ask("GET", f"/v1/jobs/{job}/modules?limit=1"))["data"][0]["id"] for job in jobs]


async def _burst(port: int, name: str, paths: Sequence[str], job: str) -> Burst:
    found = Burst(name)
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(_raw(port)) for _ in paths]
        async with bystander(port, job, found):
            answers = [_ask(*streams, path) for streams, path in zip(opened, paths, strict=True)]
            for status, seconds in await asyncio.gather(*answers):
                found.statuses[status] += 1
                found.seconds.append(seconds)
    return found


async def _bystand(port: int, job: str) -> None:
    """Small requests on connections of their own, one after another, until standard input ends; then what they took."""
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    answers = []
    for path in cycle(("/healthz", f"/v1/jobs/{job}", "/v1/methods")):
        if over.done():
            break
        async with _raw(port) as streams:
            answers.append([path, *await _ask(*streams, path)])
        await asyncio.sleep(BYSTANDER_PAUSE)
    print(json.dumps(answers))


@asynccontextmanager
async def bystander(port: int, job: str, found: Burst) -> AsyncIterator[None]:
    """In a process of its own: what the burst costs its senders is not what a bystander waits for."""
    command = (sys.executable, "-m", "benchmarks.service_bursts", str(port), job)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**22)
    await asyncio.sleep(BEFORE_SECONDS)
    yield
    await asyncio.sleep(AFTER_SECONDS)
    said, _ = await process.communicate(b"")
    answers = json.loads(said)
    found.bystander = [seconds for _, _, seconds in answers]
    found.bystander_refused = sum(status != "200" for _, status, _ in answers)


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> tuple[str, float]:
    """Status and seconds until the last byte; `none` where there was no answer in time."""
    began, first = time.perf_counter(), b""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode())
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(MOST_SECONDS):
            while chunk := await reader.read(1 << 20):
                first = first or chunk
    return (first[9:12].decode() or "none"), time.perf_counter() - began


@asynccontextmanager
async def _slow_clients(port: int, job: str) -> AsyncIterator[None]:
    """Half of them never finish their request, half never read their answer."""
    async with AsyncExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            _, writer = await stack.enter_async_context(_raw(port, limit=1024))
            head = f"GET /v1/jobs/{job}/results HTTP/1.1\r\nHost: {HOST}\r\n"
            writer.write((head + ("\r\n" if number % 2 else "X-Slow: ")).encode())
        yield


@asynccontextmanager
async def _raw(port: int, limit: int = 1 << 16) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, port, limit=limit)
    try:
        yield reader, writer
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(_bystand(int(sys.argv[1]), sys.argv[2]))
