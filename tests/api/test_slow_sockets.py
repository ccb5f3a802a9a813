"""A connection that is slow, silent or one too many is ended, and nobody waits for it."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app import connection_limits
from app.api import bodies
from app.connection_limits import PatientProtocol
from app.server import serve_in_background
from app.services.backend import Backend

SOON = 0.3
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPLOAD = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def impatient(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server whose patience ends soon."""
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", SOON)
    monkeypatch.setattr(connection_limits, "READ_SECONDS", SOON)
    monkeypatch.setattr(bodies, "SILENT_SECONDS", SOON)
    with serve_in_background(backend.settings) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as line:
        yield line


def heard(line: socket.socket) -> bytes:
    """All that is said until the other side hangs up."""
    said = b""
    while piece := line.recv(65536):
        said += piece
    return said


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def test_who_says_nothing_is_hung_up_on(impatient: str) -> None:
    with connected(impatient) as line:
        assert heard(line) == b""


def test_a_head_that_does_not_end_is_given_up(impatient: str) -> None:
    with connected(impatient) as line:
        line.sendall(HEAD)
        assert problem(heard(line)) == (408, "REQUEST_TIMEOUT")


def test_so_is_the_head_of_a_later_request(impatient: str) -> None:
    with connected(impatient) as line:
        line.sendall(HEAD + b"\r\n")
        assert b"200 OK" in line.recv(65536)
        line.sendall(HEAD)
        assert problem(heard(line)) == (408, "REQUEST_TIMEOUT")


def test_a_head_that_dribbles_is_given_up_however_often_a_byte_comes(impatient: str) -> None:
    began = time.monotonic()
    with connected(impatient) as line, pytest.raises(OSError):  # noqa: PT011  reset or broken pipe
        line.sendall(HEAD)
        while time.monotonic() - began < 10:
            line.sendall(b"x")
            time.sleep(SOON / 10)
    assert time.monotonic() - began < 5


def test_a_head_without_an_end_takes_no_memory(backend: Backend) -> None:
    with serve_in_background(backend.settings) as url, connected(url) as line:
        line.sendall(HEAD + b"X-Long: " + b"x" * (connection_limits.HEAD_BYTES + 1))
        assert problem(line.recv(65536)) == (431, "REQUEST_HEADER_FIELDS_TOO_LARGE")


def test_a_body_that_stops_coming_is_given_up(impatient: str) -> None:
    with connected(impatient) as line:
        line.sendall(UPLOAD + b"{")
        assert problem(heard(line)) == (408, "REQUEST_TIMEOUT")


def test_a_body_that_dribbles_is_given_up(impatient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with connected(impatient) as line:
        line.sendall(UPLOAD)
        line.settimeout(SOON / 10)
        answer = b""
        while not answer and time.monotonic() - began < 10:
            line.sendall(b" ")
            try:
                answer = line.recv(65536)
            except TimeoutError:
                continue
        assert problem(answer) == (408, "REQUEST_TIMEOUT")
    assert time.monotonic() - began < 5


async def large(scope: Scope, _receive: Receive, send: Send) -> None:
    """An application with more to say than sockets hold."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})


def test_who_does_not_read_an_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "READ_SECONDS", SOON)
    server = uvicorn.Server(uvicorn.Config(large, port=0, http=PatientProtocol, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    began = time.monotonic()
    with connected(f":{server.servers[0].sockets[0].getsockname()[1]}") as line:
        line.sendall(HEAD + b"\r\n")
        while not server.server_state.total_requests or server.server_state.connections:
            assert time.monotonic() - began < 10
            time.sleep(0.01)
    server.should_exit = True
    thread.join()


def test_waiting_for_news_is_no_slowness(impatient: str) -> None:
    began = time.monotonic()
    spec = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "reuse": False}
    job = httpx.post(f"{impatient}/v1/jobs", json=spec).json()
    answer = httpx.get(f"{impatient}{job['urls']['self']}", headers={"Prefer": "wait=1"})
    assert answer.status_code == 200
    assert time.monotonic() - began > 2 * SOON


def test_one_connection_too_many_is_told_to_come_back(impatient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MOST_CONNECTIONS", 1)
    with connected(impatient) as line:
        line.sendall(HEAD)
        with connected(impatient) as another:
            assert problem(heard(another)) == (503, "OVERLOADED")
        line.sendall(b"\r\n")
        assert b"200 OK" in line.recv(65536)


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /%ED%A0%80 HTTP/1.1\r\nHost: a",
        b"GET /v1/jobs?cursor=\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[",
        b"GET /v1/jobs HTTP/1.1\r\nHost: [",
        b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + b"9" * 4401,
        b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"GET /v1/jobs/x/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nLast-Event-ID: "
        + b"9" * 5000,
        b"GET * HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1",
        b"FOO / HTTP/1.1\r\nHost: 127.0.0.1",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1",
    ],
)
def test_no_bytes_on_the_wire_are_a_fault_of_the_server(impatient: str, lines: bytes) -> None:
    with connected(impatient) as line:
        line.sendall(lines + b"\r\nConnection: close\r\n\r\n")
        answer = heard(line)
    assert answer[:9] == b"HTTP/1.1 ", answer
    assert int(answer.split()[1]) < 500, answer
