"""Who waits stands in a line with those who ask the same, and the lines take turns: a flood waits for itself."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable


class Lines:
    """Lines of waiters, on one event loop."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def join(self, about: Hashable) -> asyncio.Future[None]:
        """What a newcomer waits for: it is done when it is its turn."""
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(about, deque()).append(turn)
        return turn

    def ahead(self, about: Hashable) -> int:
        """How many have their turn before somebody who joins now."""
        own = len(self._lines.get(about, ()))
        return sum(min(len(line), own + (place != about)) for place, line in self._lines.items())

    def call(self) -> bool:
        """Give the next one its turn; False where nobody waits. Its line goes to the back."""
        while self._lines:
            about, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[about] = line
            if not turn.done():  # else it went away
                turn.set_result(None)
                return True
        return False
