"""When many requests come in one moment, a few begin at each turn of the event loop, and each path has its turn.

Otherwise one turn would begin them all, and who comes next would stand until it is over. A flood of requests for one
thing waits for itself, and the end of the longest line is refused as soon as all lines together would take too long.
Who only asks whether the process lives, or for what it has at hand, does not wait.
"""

from __future__ import annotations

import asyncio
import time

from app.services.lanes import SMOOTHING, too_much
from app.services.waiting_lines import Lines

AT_A_TURN = 2
REFUSED_AT_A_TURN = 6
"""A refusal costs a fraction of what it costs to begin."""

PATIENCE_SECONDS = 0.8
"""For all lines together. In its lane a request may wait as long again, and an answer takes its time."""

NEVER_REFUSED = 64
"""So many may always stand in line, however slow the machine is at the moment."""

BEGINNING_SECONDS = 0.003
"""What one request keeps the event loop from the next, until that is known."""

AT_HAND = frozenset({"/healthz", "/readyz", "/v1/methods"})


class Pacing:
    """The line before everything else, on one event loop."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._begun = 0
        self._seconds = BEGINNING_SECONDS
        self._turned = 0.0

    async def await_turn(self, path: str) -> None:
        """Returns at once while few have begun in this turn of the loop, else when it is this one's turn.

        Raises Overloaded where the lines are too long.
        """
        if path in AT_HAND:
            return
        if self._begun == 0:
            self._come_back()
        if self._begun < AT_A_TURN:
            self._begun += 1
            return
        await self._lines.join(path)

    def _come_back(self) -> None:
        self._turned = time.perf_counter()
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """The next turn of the loop."""
        self._measure()
        self._begun = 0
        while self._begun < AT_A_TURN and self._lines.call():
            self._begun += 1
        for _ in range(REFUSED_AT_A_TURN):
            waiting = len(self._lines)
            if waiting > NEVER_REFUSED and waiting * self._seconds > PATIENCE_SECONDS:
                self._lines.refuse_one(too_much())
        if self._begun:
            self._come_back()

    def _measure(self) -> None:
        if self._begun == AT_A_TURN:
            lasted = time.perf_counter() - self._turned
            self._seconds += SMOOTHING * (lasted / AT_A_TURN - self._seconds)
