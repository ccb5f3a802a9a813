"""A job's events as they happen, over any number of connections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx
from pydantic import ValidationError

from microlith.client.connection import Connection
from microlith.client.sse import Decoder, Message
from microlith.contract import TERMINAL_STATES, Event
from microlith.contract.event import TERMINAL_EVENTS
from microlith.errors import UnexpectedAnswer, Unreachable

SILENCE_SECONDS = 60.0
"""The server sends a comment now and then; so long without a byte means the connection is dead."""


async def follow(server: Connection, job_path: str, after: int) -> AsyncIterator[Event]:
    """Every event after number `after`, once and in order, ending after the one that ends the job.

    A job that was retried has such events in the middle of its history too, so the job itself is asked whether it is
    over. Gives up with Unreachable after as many connections in a row without news as the retry policy has attempts.
    """
    fruitless, over = 0, False
    while True:
        cut: httpx.TransportError | None = None
        try:
            async with aclosing(_events_of_one_connection(server, f"{job_path}/events", after)) as events:
                async for event in events:
                    if event.seq <= after:
                        continue
                    after, fruitless = event.seq, 0
                    yield event
                    if event.type in TERMINAL_EVENTS and await _is_over(server, job_path):
                        return
        except httpx.TransportError as error:
            cut = error
        if over and not cut:
            return
        over = not cut and await _is_over(server, job_path)
        fruitless += 1
        if fruitless == server.retry.attempts:
            raise server.unreachable(cut) if cut else Unreachable(server.base_url, "it keeps ending the event stream")
        await server.pause(server.retry.pause(fruitless))


async def _events_of_one_connection(server: Connection, path: str, after: int) -> AsyncGenerator[Event]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
    decoder = Decoder()
    async with server.stream(path, headers, silence=SILENCE_SECONDS) as answer:
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise UnexpectedAnswer(str(answer.url), "this is no event stream")
        async for piece in server.pieces(answer):
            for message in decoder.feed(piece):
                yield _event(message, answer)


def _event(message: Message, answer: httpx.Response) -> Event:
    try:
        return Event.model_validate_json(message.data)
    except ValidationError as error:
        raise UnexpectedAnswer(str(answer.url), "an event cannot be read") from error


async def _is_over(server: Connection, job_path: str) -> bool:
    answer = await server.send("GET", job_path)
    return answer.json()["state"] in TERMINAL_STATES
