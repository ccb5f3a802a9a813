"""Work of requests waits in lines that are short in time, takes turns, and is done once for all who ask the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.domain.errors import Overloaded
from app.services.backend import Backend
from app.services.lanes import Lane
from app.services.watching import Watching
from tests.work import claim, finish, submit


class Source:
    """Something to read that changes, slowly enough to be asked for meanwhile."""

    def __init__(self) -> None:
        self.value, self.reads = 0, 0
        self.gate = threading.Event()

    def read(self) -> int:
        self.reads += 1
        seen = self.value
        self.gate.wait()
        return seen


@contextmanager
def busy(lane: Lane) -> Iterator[list[str]]:
    """All threads of the lane are taken while the block runs; the list is for what is done afterwards."""
    gate = threading.Event()
    tasks = [asyncio.create_task(lane.run("busy", gate.wait)) for _ in range(lane.threads)]
    try:
        yield []
    finally:
        gate.set()
    assert tasks


def test_all_who_ask_before_a_read_begins_share_it() -> None:
    async def story() -> None:
        lane, source = Lane(1, 10.0), Source()
        source.gate.set()
        assert await asyncio.gather(*(lane.share("job", source.read) for _ in range(200))) == [0] * 200
        assert source.reads == 1
        assert await lane.share("job", source.read) == 0

    asyncio.run(story())


def test_who_asks_while_a_read_runs_hears_what_is_true_now() -> None:
    async def story() -> None:
        lane, source = Lane(2, 10.0), Source()
        early = asyncio.create_task(lane.share("job", source.read))
        await until(lambda: source.reads == 1)
        source.value = 1
        late = [asyncio.create_task(lane.share("job", source.read)) for _ in range(50)]
        await until(lambda: source.reads == 2)
        source.gate.set()
        assert (await early, await asyncio.gather(*late), source.reads) == (0, [1] * 50, 2)

    asyncio.run(story())


def test_a_caller_who_leaves_and_a_read_that_fails_harm_nobody_else() -> None:
    async def story() -> None:
        lane, source = Lane(1, 10.0), Source()
        leaving, staying = (asyncio.create_task(lane.share("job", source.read)) for _ in range(2))
        await until(lambda: source.reads == 1)
        leaving.cancel()
        source.gate.set()
        assert await staying == 0
        with pytest.raises(ZeroDivisionError):
            await lane.share("job", lambda: 1 // 0)
        assert await lane.share("job", source.read) == 0

    asyncio.run(story())


def test_a_waiter_who_leaves_gives_its_place_to_the_next() -> None:
    async def story() -> None:
        lane = Lane(1, 10.0)
        with busy(lane) as done:
            await asyncio.sleep(0)
            leaving = asyncio.create_task(lane.run("leaving", lambda: done.append("leaving")))
            staying = asyncio.create_task(lane.run("staying", lambda: done.append("staying")))
            await asyncio.sleep(0)
            leaving.cancel()
        await staying
        assert (done, await lane.run("later", lambda: "free")) == (["staying"], "free")

    asyncio.run(story())


def test_a_flood_waits_for_itself() -> None:
    """A hundred of one kind stand in line; one of another kind that comes last is soon served."""

    async def story() -> None:
        lane = Lane(1, 10.0)
        with busy(lane) as done:
            await asyncio.sleep(0)
            flood = [asyncio.create_task(lane.run("flood", lambda: done.append("flood"))) for _ in range(100)]
            await asyncio.sleep(0)
            other = asyncio.create_task(lane.run("other", lambda: done.append("other")))
            await asyncio.sleep(0)
        await asyncio.gather(*flood, other)
        assert done.index("other") <= 1

    asyncio.run(story())


def test_who_would_wait_for_too_long_is_refused_at_once_and_others_are_not() -> None:
    async def story() -> None:
        lane = Lane(1, 0.5)
        await lane.run("slow", lambda: threading.Event().wait(0.3))
        with busy(lane):
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(lane.run("flood", lambda: None)) for _ in range(40)]
            await asyncio.sleep(0)
            refused = [task.exception() for task in waiting if task.done()]
            assert refused
            assert all(isinstance(error, Overloaded) for error in refused)
            assert lane.wait("other") < 0.5 < lane.wait("flood")
        left = await asyncio.gather(*waiting, return_exceptions=True)
        assert left.count(None) == 40 - len(refused)

    asyncio.run(story())


def test_two_hundred_followers_of_a_job_cost_one_read_for_each_event(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0
    ask = Watching.ask

    def counted(self: Watching, question: object) -> object:
        nonlocal reads
        reads += 1
        return ask(self, question)  # type: ignore[arg-type]

    monkeypatch.setattr(Watching, "ask", counted)

    async def follow(watching: Watching, job_id: str) -> list[int]:
        return [event.seq async for event in watching.events(job_id, 0) if event]

    async def story() -> list[list[int]]:
        job_id = submit(backend)
        async with backend.feed.listen():
            followers = [asyncio.create_task(follow(Watching(backend, "default"), job_id)) for _ in range(200)]
            await until(lambda: len(backend.feed.bells[job_id]) == 200)
            await asyncio.to_thread(lambda: finish(backend, claim(backend, job_id)))
            return await asyncio.gather(*followers)

    assert asyncio.run(story()) == [[1, 2, 3]] * 200
    assert reads <= 12, "a few for each of three events, whoever they are for"


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.001)
