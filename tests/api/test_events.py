"""A job's history, as pages and as a stream."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from app.server import serve_in_background
from app.services.backend import Backend
from microlith.contract.event import TERMINAL_EVENTS
from tests.work import claim, finish, submit


def tell(backend: Backend, lease: Any, lines: int) -> None:
    """Some progress."""
    for done in range(lines):
        with lease.write() as (unit, job):
            unit.events.append(job, "job.progress", {"done": done}, unit.jobs.now())


def parse(lines: Iterator[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The events of a stream: id, type, data."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


@pytest.fixture
def url(backend: Backend) -> Iterator[str]:
    """A service on a port of this machine: streams need a server that sends as it goes."""
    with serve_in_background(backend.settings) as url:
        yield url


def test_the_history_is_paged_and_numbered_from_one(api: TestClient, backend: Backend) -> None:
    job_id = submit(backend)
    tell(backend, claim(backend, job_id), 3)
    first = api.get(f"/v1/jobs/{job_id}/events?limit=3").json()
    assert [event["seq"] for event in first["data"]] == [1, 2, 3]
    assert first["data"][0] | {"created_at": "", "id": ""} == {
        "id": "",
        "object": "event",
        "job_id": job_id,
        "seq": 1,
        "type": "job.queued",
        "data": {},
        "created_at": "",
    }
    rest = api.get(f"/v1/jobs/{job_id}/events?after=3").json()
    assert [event["seq"] for event in rest["data"]] == [4, 5]
    assert rest["next_cursor"] is None


def test_a_stream_tells_the_past_then_the_present_and_ends_with_the_job(url: str, backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)

    def work() -> None:
        time.sleep(0.3)
        tell(backend, lease, 3)
        finish(backend, lease)

    worker = threading.Thread(target=work)
    with httpx.stream("GET", f"{url}/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
        worker.start()
        events = list(parse(stream.iter_lines()))
    worker.join()
    assert [seq for seq, _, _ in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1][1] == "job.succeeded"
    assert [event["type"] for _, _, event in events] == [kind for _, kind, _ in events]


def test_a_stream_resumes_after_the_last_event_seen(url: str, backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)
    tell(backend, lease, 3)
    finish(backend, lease)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "4"}
    events = list(parse(iter(httpx.get(f"{url}/v1/jobs/{job_id}/events", headers=headers).text.splitlines())))
    assert [seq for seq, _, _ in events] == [5, 6]


def test_the_stream_of_a_retried_job_does_not_end_at_its_first_end(url: str, backend: Backend) -> None:
    job_id = submit(backend)
    with httpx.Client(base_url=url) as api:
        api.post(f"/v1/jobs/{job_id}/cancel")
        api.post(f"/v1/jobs/{job_id}/retry")
        finish(backend, claim(backend, job_id))
        text = api.get(f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}).text
    kinds = [kind for _, kind, _ in parse(iter(text.splitlines()))]
    assert kinds == ["job.queued", "job.cancelled", "job.queued", "job.running", "job.succeeded"]


def test_a_stream_opened_after_the_end_ends_at_once(url: str, backend: Backend) -> None:
    job_id = submit(backend)
    finish(backend, claim(backend, job_id))
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
    assert httpx.get(f"{url}/v1/jobs/{job_id}/events", headers=headers).text == ""


def test_a_strange_last_event_id_is_refused(api: TestClient, backend: Backend) -> None:
    job_id = submit(backend)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "minus one"}
    assert api.get(f"/v1/jobs/{job_id}/events", headers=headers).status_code == 422


def test_every_event_that_ends_a_stream_ends_a_job() -> None:
    from microlith.contract import TERMINAL_STATES

    assert {f"job.{state}" for state in TERMINAL_STATES} == TERMINAL_EVENTS


def test_a_silent_stream_gives_signs_of_life(url: str, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.watching.HEARTBEAT_SECONDS", 0.1)
    job_id = submit(backend)
    with httpx.stream("GET", f"{url}/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}) as stream:
        for line in stream.iter_lines():
            if line.startswith(":"):
                return
    pytest.fail("the stream ended without a sign of life")


@pytest.mark.parametrize("number", [2**31, 2**63 - 1])
def test_who_has_seen_more_than_there_is_has_seen_all(api: TestClient, backend: Backend, number: int) -> None:
    job_id = submit(backend)
    api.post(f"/v1/jobs/{job_id}/cancel")
    assert api.get(f"/v1/jobs/{job_id}/events", params={"after": number}).json()["data"] == []
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(number)}
    assert api.get(f"/v1/jobs/{job_id}/events", headers=headers).text == ""
    too_many = api.get(f"/v1/jobs/{job_id}/events", params={"after": 2**63})
    assert (too_many.status_code, too_many.json()["code"]) == (422, "VALIDATION_ERROR")
