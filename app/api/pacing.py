"""When many requests come in one moment, a few begin at each turn of the event loop, and each path has its turn.

Otherwise one turn would begin them all, and who comes next would stand until it is over. A flood of requests for one
thing waits for itself. Who only asks whether the process lives, or for what it has at hand, does not wait.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from app.services.lines import Lines

AT_A_TURN = 2
AT_HAND = frozenset({"/healthz", "/readyz", "/v1/methods"})


class Pacing:
    """An ASGI layer around everything else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._lines = Lines()
        self._begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in AT_HAND:
            await self._turn(scope["path"])
        await self.app(scope, receive, send)

    async def _turn(self, path: str) -> None:
        """Returns at once while few have begun in this turn of the loop, else when it is this one's turn."""
        loop = asyncio.get_running_loop()
        if self._begun == 0:
            loop.call_soon(self._next)
        if self._begun < AT_A_TURN:
            self._begun += 1
            return
        await self._lines.join(path)

    def _next(self) -> None:
        """The next turn of the loop."""
        self._begun = 0
        while self._begun < AT_A_TURN and self._lines.call():
            self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)
