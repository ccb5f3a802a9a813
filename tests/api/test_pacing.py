"""However many requests come in one moment, a turn of the event loop begins a few, and every path has its turn."""

from __future__ import annotations

import asyncio
from typing import Any

from app.api.pacing import AT_A_TURN, Pacing


class Turns:
    """An application that notes in which turn of the loop a request has begun."""

    def __init__(self) -> None:
        self.now = 0
        self.begun: list[tuple[int, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun.append((self.now, scope["path"]))

    async def count(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)


async def _burst(*paths: str) -> Turns:
    app = Turns()
    paced = Pacing(app)
    counting = asyncio.create_task(app.count())
    await asyncio.gather(*(paced({"type": "http", "path": path}, None, None) for path in paths))  # type: ignore[arg-type]
    counting.cancel()
    return app


def test_a_turn_begins_a_few_of_many() -> None:
    app = asyncio.run(_burst(*(["/v1/jobs"] * 500)))
    assert len(app.begun) == 500
    turns = [turn for turn, _ in app.begun]
    assert max(turns.count(turn) for turn in set(turns)) <= AT_A_TURN


def test_who_asks_for_something_else_does_not_wait_for_a_flood() -> None:
    app = asyncio.run(_burst(*(["/v1/jobs"] * 500), "/v1/jobs/job_1"))
    place = [path for _, path in app.begun].index("/v1/jobs/job_1")
    assert place <= 2 * AT_A_TURN


def test_who_asks_whether_the_process_lives_does_not_wait_at_all() -> None:
    app = asyncio.run(_burst(*(["/v1/jobs"] * 500), "/healthz"))
    assert app.begun[AT_A_TURN][1] == "/healthz"


def test_a_caller_who_goes_away_leaves_its_place() -> None:
    async def story() -> Turns:
        app = Turns()
        paced = Pacing(app)
        calls = [
            asyncio.ensure_future(paced({"type": "http", "path": f"/{n}"}, None, None))  # type: ignore[arg-type]
            for n in range(3 * AT_A_TURN)
        ]
        await asyncio.sleep(0)
        for call in calls[AT_A_TURN : 2 * AT_A_TURN]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return app

    app = asyncio.run(story())
    assert sorted(path for _, path in app.begun) == sorted(
        f"/{n}" for n in range(3 * AT_A_TURN) if not AT_A_TURN <= n < 2 * AT_A_TURN
    )
