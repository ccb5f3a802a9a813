"""A job's events as they happen, over any number of connections."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
from pydantic import ValidationError

from microlith.client.connection import Connection
from microlith.client.sse import messages
from microlith.contract import TERMINAL_STATES, Event
from microlith.contract.event import TERMINAL_EVENTS
from microlith.errors import UnexpectedAnswer, Unreachable

SILENCE_SECONDS = 60.0
"""The server sends a comment now and then; so long without a byte means the connection is dead."""


def follow(server: Connection, job_path: str, after: int) -> Iterator[Event]:
    """Every event after number `after`, once and in order, ending after the one that ends the job.

    A job that was retried has such events in the middle of its history too, so the job itself is asked whether it is
    over. Gives up with Unreachable after as many connections in a row without news as the retry policy has attempts.
    """
    fruitless, over = 0, False
    while True:
        cut: httpx.TransportError | None = None
        try:
            for event in _one_connection(server, f"{job_path}/events", after):
                if event.seq <= after:
                    continue
                after, fruitless = event.seq, 0
                yield event
                if event.type in TERMINAL_EVENTS and _is_over(server, job_path):
                    return
        except httpx.TransportError as error:
            cut = error
        if over and not cut:
            return
        over = not cut and _is_over(server, job_path)
        fruitless += 1
        if fruitless == server.retry.attempts:
            raise server.unreachable(cut) if cut else Unreachable(server.base_url, "it keeps ending the event stream")
        time.sleep(server.retry.pause(fruitless))


def _one_connection(server: Connection, path: str, after: int) -> Iterator[Event]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
    with server.stream(path, headers, silence=SILENCE_SECONDS) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise UnexpectedAnswer(str(answer.url), "this is no event stream")
        for message in messages(answer.iter_bytes()):
            try:
                yield Event.model_validate_json(message.data)
            except ValidationError as error:
                raise UnexpectedAnswer(str(answer.url), "an event cannot be read") from error


def _is_over(server: Connection, job_path: str) -> bool:
    return server.send("GET", job_path).json()["state"] in TERMINAL_STATES
