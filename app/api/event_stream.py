"""Server-sent events, in the form that FastAPI gives them.

The route is not one of FastAPI's own streams: the same path answers with a page of JSON, and the heartbeat comes from
the feed, which knows when nothing has happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi.sse import EventSourceResponse, format_sse_event

from app.domain.errors import InvalidInput
from microlith.contract import Event

MEDIA_TYPE = EventSourceResponse.media_type

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""No cache keeps a stream, and nginx passes each event on as it comes."""

HIGHEST = 2**63 - 1
"""What may be asked for."""

DIGITS = len(str(HIGHEST))
LAST_EVENT = 2**31 - 1
"""What the database can count to; who has seen more than that has seen all."""


def stream(events: AsyncIterator[Event | None]) -> EventSourceResponse:
    """Each event under its number, so that a client resumes after it; a comment where there is nothing to say."""
    return EventSourceResponse(_lines(events), headers=HEADERS)


def resume_after(header: str | None, after: int) -> int:
    """Where to go on: the header a reconnecting client sends, or the query."""
    if header is None:
        return after
    if not (header.isascii() and header.isdecimal()) or len(header) > DIGITS or int(header) > HIGHEST:
        raise InvalidInput("Last-Event-ID must be the number of an event.", pointer="/last-event-id")
    return min(int(header), LAST_EVENT)


async def _lines(events: AsyncIterator[Event | None]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            yield format_sse_event(comment="still here")
        else:
            yield format_sse_event(id=str(event.seq), event=event.type, data_str=event.model_dump_json())
