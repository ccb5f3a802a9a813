"""However many requests come in one moment, a turn of the event loop begins a few, and every path has its turn.

Where that would take too long, the end of the longest line is refused.
"""

from __future__ import annotations

import asyncio
import time

from app.api.pacing import AT_A_TURN, BEGINNING_SECONDS, PATIENCE_SECONDS, Pacing
from app.domain.errors import Overloaded

FEW = 100
"""So many can begin soon enough that nobody is refused."""


class Turns:
    """Requests behind one pacing, which note in which turn of the loop they have begun."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.pacing, self.seconds = Pacing(), seconds
        self.now = 0
        self.begun: list[tuple[int, str]] = []
        self.refused: list[str] = []

    async def ask(self, path: str) -> None:
        try:
            await self.pacing.await_turn(path)
        except Overloaded:
            self.refused.append(path)
            return
        time.sleep(self.seconds)
        self.begun.append((self.now, path))

    async def count(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)


async def _burst(*paths: str, seconds: float = 0.0) -> Turns:
    turns = Turns(seconds)
    counting = asyncio.create_task(turns.count())
    await asyncio.gather(*map(turns.ask, paths))
    counting.cancel()
    return turns


def test_a_turn_begins_a_few_of_many() -> None:
    seen = asyncio.run(_burst(*(["/v1/jobs"] * FEW)))
    assert len(seen.begun) == FEW
    turns = [turn for turn, _ in seen.begun]
    assert max(turns.count(turn) for turn in set(turns)) <= AT_A_TURN


def test_who_asks_for_something_else_does_not_wait_for_a_flood() -> None:
    seen = asyncio.run(_burst(*(["/v1/jobs"] * 500), "/v1/jobs/job_1"))
    place = [path for _, path in seen.begun].index("/v1/jobs/job_1")
    assert place <= 2 * AT_A_TURN


def test_who_asks_whether_the_process_lives_does_not_wait_at_all() -> None:
    seen = asyncio.run(_burst(*(["/v1/jobs"] * 500), "/healthz"))
    assert seen.begun[AT_A_TURN][1] == "/healthz"


def test_of_more_than_can_begin_soon_the_end_of_the_longest_line_is_refused() -> None:
    others = [f"/v1/jobs/job_{number}" for number in range(10)]
    began = time.perf_counter()
    seen = asyncio.run(_burst(*(["/v1/jobs"] * 500), *others, seconds=BEGINNING_SECONDS))
    lasted = time.perf_counter() - began
    assert set(seen.refused) == {"/v1/jobs"}
    assert {path for _, path in seen.begun} == {"/v1/jobs", *others}
    assert len(seen.begun) + len(seen.refused) == 510
    assert lasted < 2 * PATIENCE_SECONDS  # 1.5 s if all had begun


def test_a_caller_who_goes_away_leaves_its_place() -> None:
    async def story() -> Turns:
        turns = Turns()
        calls = [asyncio.ensure_future(turns.ask(f"/{n}")) for n in range(3 * AT_A_TURN)]
        await asyncio.sleep(0)
        for call in calls[AT_A_TURN : 2 * AT_A_TURN]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return turns

    seen = asyncio.run(story())
    assert sorted(path for _, path in seen.begun) == sorted(
        f"/{n}" for n in range(3 * AT_A_TURN) if not AT_A_TURN <= n < 2 * AT_A_TURN
    )
