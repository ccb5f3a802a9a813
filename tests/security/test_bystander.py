"""Hostile requests in one moment, on a real listener: each has its answer, and somebody else hardly notices.

The bystander is a process of its own. `make bench-service` holds it to 250 ms on cores that do nothing else; here other
tests run beside.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.server import serve_in_background
from app.services.backend import Backend
from benchmarks.service_bursts import HOST, Burst, bystander
from tests.work import submit

MOST_SECONDS = 1.0
STREAM = "Accept: text/event-stream\r\nLast-Event-ID: "
BOMBS = 3


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A file of a few kilobytes that comes to 400 MB."""
    sink = pa.BufferOutputStream()
    table = pa.table({"text": pa.array(["x" * 1_000_000] * 400, pa.large_string()), "label": ["a", "b"] * 200})
    pq.write_table(table, sink, compression="zstd", write_statistics=False, dictionary_pagesize_limit=1 << 30)
    return bytes(sink.getvalue())


def test_hostile_requests_have_their_answer_and_delay_nobody_else(backend: Backend, bomb: bytes) -> None:
    job = submit(backend)
    found = Burst("hostile")

    async def story(port: int) -> Counter[int]:
        uploads = [await _uploaded(port, bomb + b"\0" * number) for number in range(BOMBS)]
        hostile = [
            *(_request("POST", "/v1/datasets", {"upload": upload}) for upload in uploads),
            *(_request("GET", "/v1/jobs?" + "&".join(f"label.k{n}=v" for n in range(300))) for _ in range(20)),
            *(_request("POST", "/v1/jobs", {"model": "demo:nobody", "dataset": "[" * 10_000}) for _ in range(20)),
            *(_raw("POST", "/v1/jobs", b"[" * 100_000) for _ in range(20)),
            *(_raw("GET", "/v1/jobs", b"", "Content-Length: " + "9" * 4_000) for _ in range(20)),
            *(_raw("GET", f"/v1/jobs/{job}/events", b"", STREAM + "9" * 5_000) for _ in range(20)),
            *(_request("GET", f"/v1/jobs/{job}/results") for _ in range(100)),
        ]
        async with bystander(port, job, found):
            statuses: Counter[int] = Counter()
            for _ in range(20):  # who is refused asks again, as he is told
                answers = await asyncio.gather(*(_status(port, request) for request in hostile))
                statuses.update(status for status in answers if status != 503)
                hostile = [request for request, status in zip(hostile, answers, strict=True) if status == 503]
            return statuses

    with serve_in_background(backend.settings) as url:
        statuses = asyncio.run(story(urlsplit(url).port or 0))
    assert set(statuses) <= {200, 400, 422}, statuses
    assert statuses[200] == 100
    assert statuses[422] >= BOMBS + 80
    assert found.bystander_refused == 0
    assert found.bystander_p99 < 1000 * MOST_SECONDS


async def _uploaded(port: int, content: bytes) -> str:
    """The id of a complete upload."""
    begun = await _answer(
        port,
        _request("POST", "/v1/uploads", {"kind": "dataset", "filename": "d.parquet", "size_bytes": len(content)}),
    )
    upload: str = begun["id"]
    await _answer(port, _raw("PUT", f"/v1/uploads/{upload}/content", content))
    digest = hashlib.sha256(content).hexdigest()
    await _answer(port, _request("POST", f"/v1/uploads/{upload}/complete", {"sha256": digest}))
    return upload


def _request(method: str, path: str, body: object = None) -> bytes:
    return _raw(method, path, b"" if body is None else json.dumps(body).encode())


def _raw(method: str, path: str, body: bytes, header: str = "X-Nothing: 1") -> bytes:
    length = "" if header.startswith("Content-Length") else f"Content-Length: {len(body)}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n{length}{header}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


async def _status(port: int, request: bytes) -> int:
    return int((await _sent(port, request))[9:12])


async def _answer(port: int, request: bytes) -> dict[str, str]:
    answered: dict[str, str] = json.loads((await _sent(port, request)).partition(b"\r\n\r\n")[2])
    return answered


async def _sent(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 120)
    writer.close()
    return answer
