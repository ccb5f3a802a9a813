"""Who waits stands in a line with those who ask the same, and the lines take turns: a flood waits for itself."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable
from itertools import chain, cycle

Waiters = deque[asyncio.Future[None]]


class Lines:
    """Lines of waiters, on one event loop.

    Of three turns one goes to the line that came last, one to that which has stood longest without any, and one to the
    others in rotation. So somebody who asks for little is not behind all that came before, and nobody is forgotten.
    """

    def __init__(self) -> None:
        self._fresh: OrderedDict[Hashable, Waiters] = OrderedDict()  # had no turn yet
        self._known: OrderedDict[Hashable, Waiters] = OrderedDict()
        self._turns = cycle((self._fresh.popitem, lambda: self._fresh.popitem(last=False), self._rotate))

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, chain(self._fresh.values(), self._known.values())))

    def join(self, about: Hashable) -> asyncio.Future[None]:
        """What a newcomer waits for: it is done when it is its turn."""
        turn = asyncio.get_running_loop().create_future()
        lines = self._known if about in self._known else self._fresh
        lines.setdefault(about, deque()).append(turn)
        return turn

    def ahead(self, about: Hashable) -> int:
        """How many may have their turn before somebody who joins now."""
        own = len(self._known.get(about) or self._fresh.get(about) or ())
        lines = chain(self._known.items(), self._fresh.items())
        return sum(min(len(line), own + (place != about)) for place, line in lines)

    def call(self) -> bool:
        """Give the next one its turn; False where nobody waits."""
        while self:
            about, line = next(self._turns)() if self._fresh else self._rotate()
            turn = line.popleft()
            if line:
                self._known[about] = line
            if not turn.done():  # else it went away
                turn.set_result(None)
                return True
        return False

    def refuse_one(self, why: Exception) -> None:
        """The last of the longest line is told so, of several the one that has stood longest."""
        lines = max((self._known, self._fresh), key=lambda lines: max(map(len, lines.values()), default=0))
        about = max(lines, key=lambda about: len(lines[about]))
        turn = lines[about].pop()
        if not lines[about]:
            del lines[about]
        if not turn.done():
            turn.set_exception(why)

    def _rotate(self) -> tuple[Hashable, Waiters]:
        return self._known.popitem(last=False) if self._known else self._fresh.popitem(last=False)
