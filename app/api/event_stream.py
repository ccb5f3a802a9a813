"""Server-sent events, as the HTML standard writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.domain.errors import InvalidInput
from microlith.contract import Event

MEDIA_TYPE = "text/event-stream"

HIGHEST = 2**63 - 1
"""What may be asked for."""

DIGITS = len(str(HIGHEST))
LAST_EVENT = 2**31 - 1
"""What the database can count to; who has seen more than that has seen all."""


async def lines(events: AsyncIterator[Event | None]) -> AsyncIterator[str]:
    """Each event under its number, so that a client resumes after it; a comment where there is nothing to say."""
    async for event in events:
        if event is None:
            yield ": still here\n\n"
        else:
            yield f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"


def resume_after(header: str | None, after: int) -> int:
    """Where to go on: the header a reconnecting client sends, or the query."""
    if header is None:
        return after
    if not (header.isascii() and header.isdecimal()) or len(header) > DIGITS or int(header) > HIGHEST:
        raise InvalidInput("Last-Event-ID must be the number of an event.", pointer="/last-event-id")
    return min(int(header), LAST_EVENT)
