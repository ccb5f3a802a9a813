"""Many who ask the same at once are answered by one read, and nobody by one that began before the question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.services.backend import Backend
from app.services.sharing import Sharing
from app.services.watching import Watching
from tests.work import claim, finish, submit


class Source:
    """Something to read that changes, slowly enough to be asked for meanwhile."""

    def __init__(self) -> None:
        self.value, self.reads = 0, 0
        self.gate = asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        return seen


def test_all_who_ask_before_a_read_begins_share_it() -> None:
    async def story() -> None:
        shared, source = Sharing(), Source()
        source.gate.set()
        assert await asyncio.gather(*(shared.ask("job", source.read) for _ in range(200))) == [0] * 200
        assert source.reads == 1
        assert (shared.running, shared.coming) == ({}, {})

    asyncio.run(story())


def test_who_asks_while_a_read_runs_hears_what_is_true_now() -> None:
    async def story() -> None:
        shared, source = Sharing(), Source()
        early = asyncio.create_task(shared.ask("job", source.read))
        await until(lambda: source.reads == 1)
        source.value = 1
        late = [asyncio.create_task(shared.ask("job", source.read)) for _ in range(50)]
        await asyncio.sleep(0)
        source.gate.set()
        assert (await early, await asyncio.gather(*late), source.reads) == (0, [1] * 50, 2)

    asyncio.run(story())


def test_a_caller_who_leaves_and_a_read_that_fails_harm_nobody_else() -> None:
    async def story() -> None:
        shared, source = Sharing(), Source()
        leaving, staying = (asyncio.create_task(shared.ask("job", source.read)) for _ in range(2))
        await until(lambda: source.reads == 1)
        leaving.cancel()
        source.gate.set()
        assert await staying == 0
        with pytest.raises(ZeroDivisionError):
            await shared.ask("job", _fails)
        assert await shared.ask("job", source.read) == 0

    asyncio.run(story())


def test_two_hundred_followers_of_a_job_cost_one_read_for_each_event(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    ask = Watching._ask

    def counted(self: Watching, question: object) -> object:
        nonlocal reads
        reads += 1
        return ask(self, question)  # type: ignore[arg-type]

    monkeypatch.setattr(Watching, "_ask", counted)

    async def follow(watching: Watching, job_id: str) -> list[int]:
        return [event.seq async for event in watching.events(job_id, 0) if event]

    async def story() -> list[list[int]]:
        job_id = submit(backend)
        async with backend.feed.listening():
            followers = [asyncio.create_task(follow(Watching(backend, "default"), job_id)) for _ in range(200)]
            await until(lambda: len(backend.feed.bells[job_id]) == 200)
            await asyncio.to_thread(lambda: finish(backend, claim(backend, job_id)))
            return await asyncio.gather(*followers)

    assert asyncio.run(story()) == [[1, 2, 3]] * 200
    assert reads <= 12, "a few for each of three events, whoever they are for"


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.001)


def _fails() -> Awaitable[int]:
    raise ZeroDivisionError
