"""A real HTTP server in a thread that answers as a test tells it to: in turn, cut short, late, elsewhere."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from microlith.client import Retry

QUICK = Retry(attempts=4, first_contact=4, first=0.001, longest=0.01)
"""A client with no patience."""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to say. With `cut` only so many bytes of the body arrive before the end; with -1 the connection is reset."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


Answer = Reply | Callable[[Asked], Reply]


def answer(content: Any, status: int = 200, **headers: str) -> Reply:
    """JSON."""
    return Reply(json.dumps(content).encode(), status, {"Content-Type": "application/json", **headers})


def problem(status: int, code: str, detail: str = "It is so.", **members: Any) -> Reply:
    document = {"title": "No", "status": status, "detail": detail, "code": code, **members}
    return Reply(json.dumps(document).encode(), status, {"Content-Type": "application/problem+json"})


class SmallService:
    """Answers per `METHOD /path`; several are given in turn and the last one for ever. `asked` is what came in."""

    def __init__(self) -> None:
        self.answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self.asked: list[Asked] = []
        self.url = ""

    def on(self, call: str, *answers: Answer) -> None:
        self.answers[call] = list(answers)

    def calls(self, call: str) -> list[Asked]:
        return [asked for asked in self.asked if f"{asked.method} {asked.path}" == call]

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        script = self.answers[f"{asked.method} {asked.path}"]
        if not script:
            return problem(404, "NOT_FOUND", f"{asked.method} {asked.path} is unknown.")
        chosen = script.pop(0) if len(script) > 1 else script[0]
        return chosen(asked) if callable(chosen) else chosen


@contextmanager
def running() -> Iterator[SmallService]:
    """A service on a free port of this machine."""
    service = SmallService()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": service}))
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    service: SmallService
    timeout = 5

    def _handle(self) -> None:
        place = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.service.reply(Asked(self.command, place.path, query, headers, body))
        self.close_connection = True
        if reply.cut == -1:
            self._reset()
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.status != 304:
            self.wfile.write(reply.body[: reply.cut])
        self.wfile.flush()
        if reply.cut is not None and reply.cut < len(reply.body):
            self._half_close()

    def _half_close(self) -> None:
        """End the stream before its time: what was written arrives, the rest never will."""
        self.connection.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Nothing: the test asks `asked`."""

    do_GET = do_POST = do_PUT = do_DELETE = _handle
