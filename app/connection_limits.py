"""Sockets that are slow, silent or too many: each may have so much time, and together they have a bound.

uvicorn waits for ever for the head of a first request, and for a reader who does not read. The bodies of requests have
their time in app.api.bodies, where it is known whether anybody wants them.
"""

from __future__ import annotations

import asyncio
import json
import resource
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 15.0
"""For a request's line and headers to be there, from the connection's or their first byte on."""

HEAD_BYTES = 64 * 1024
READ_SECONDS = 30.0
"""Without one byte taken by who reads an answer."""

MOST_CONNECTIONS = 2_000
OTHER_FILES = 256
"""Descriptors that are for the database, the broker, files and children."""

TOO_SLOW = (408, "REQUEST_TIMEOUT", "The head of the request took too long.")
TOO_LONG = (431, "REQUEST_HEADER_FIELDS_TOO_LARGE", f"The head of a request may have {HEAD_BYTES:,} bytes.")
TOO_MANY = (503, "OVERLOADED", "Too many connections at once.")
REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's own protocol, with an end to its patience."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_due: asyncio.TimerHandle | None = None
        self._read_due: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > connections_at_once():
            self._refuse(TOO_MANY)
            return
        self._await_head()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._head_is_there()
        elif self.cycle is None or self.cycle.response_complete:
            self._await_head()
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(TOO_LONG)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        self._stop_watching_the_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_the_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_watching_the_reader()
        super().resume_writing()

    def _await_head(self) -> None:
        if self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        """Who has said nothing at all, as browsers do ahead of need, is told nothing either."""
        if self._head_bytes:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def _head_is_there(self) -> None:
        self._head_bytes = 0
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _watch_the_reader(self, left: int) -> None:
        self._stop_watching_the_reader()
        self._read_due = self.loop.call_later(READ_SECONDS, self._look_at_the_reader, left)

    def _look_at_the_reader(self, left: int) -> None:
        """Who has taken nothing since the last look is gone, whatever the socket says."""
        now = self.transport.get_write_buffer_size()
        if now >= left:
            self.transport.abort()
        else:
            self._watch_the_reader(now)

    def _stop_watching_the_reader(self) -> None:
        if self._read_due is not None:
            self._read_due.cancel()
            self._read_due = None

    def _refuse(self, refusal: tuple[int, str, str]) -> None:
        """Say why, and hang up."""
        self._head_is_there()
        if self.transport.is_closing():
            return
        self.transport.write(_answer(*refusal))
        self.transport.close()


def connections_at_once() -> int:
    """As many as there are descriptors for, up to a bound."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if most < 0 else max(1, min(MOST_CONNECTIONS, most - OTHER_FILES))


def room_for_connections() -> None:
    """Takes the descriptors that the connections need, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST_CONNECTIONS + OTHER_FILES
    if 0 <= soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard < 0 else min(needed, hard), hard))


def _answer(status: int, code: str, detail: str) -> bytes:
    """A problem, as bytes on the wire."""
    body = json.dumps({"title": REASONS[status], "status": status, "code": code, "detail": detail}).encode()
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "x-content-type-options: nosniff",
        "retry-after: 2",
        "connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
