"""Texts that quote a stranger's file reach PostgreSQL, whatever is in them."""

from __future__ import annotations

import json

import pytest

from app.db.text import to_json
from app.domain.errors import MicrolithError
from app.domain.foreign_errors import MOST_CHARACTERS, told
from app.services import lifecycle
from app.services.backend import Backend
from app.services.jobs import Jobs
from tests.work import claim, submit

STRANGE = "a\0b\ud800c\udfffd"
MENDED = "a\ufffdb\ufffdc\ufffdd"


@pytest.mark.parametrize(
    "value",
    [{"ö\\": ["\\u0000", "\\\\u0000", 'quoted "\\"', "\U0001f600", "\n\t\x1f"]}, "\\", None, 1.5, [True, {"a": {}}]],
)
def test_what_can_be_stored_is_stored_as_it_is(value: object) -> None:
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize("before", ["", "\\", "\\\\", "\\\\\\", "\\u0000"])
def test_what_cannot_be_stored_becomes_a_mark(before: str) -> None:
    written = to_json({before + STRANGE: [before + STRANGE]})
    assert json.loads(written) == {before + MENDED: [before + MENDED]}
    assert written.encode()


def test_errors_events_and_facts_of_a_worker_are_stored_with_a_mark(backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)
    with lease.write() as (unit, job):
        unit.events.append(job, "job.phase", {"phase": STRANGE, STRANGE: 1}, unit.jobs.now())
        job.combination = {"labels": [STRANGE]}
        lifecycle.fail(unit, job, MicrolithError(STRANGE, hint=STRANGE))
    with backend.database.unit() as unit:
        job = Jobs(unit, "default", backend).get(job_id)
        events = unit.events.after(job_id, 0, 100)
        assert [event.data.get(MENDED) for event in events if event.type == "job.phase"] == [1]
    assert job.error is not None
    assert (job.state, job.error.message, job.error.hint) == ("failed", MENDED, MENDED)


@pytest.mark.parametrize(
    ("said", "tells"),
    [
        ("OSError: [Errno 36] File name too long: '/tmp/job-12/xyz.zip'", "File name too long: '…/xyz.zip'"),
        ("Can't load tokenizer for '/root/.cache/hub/model-abc'. If", "for '…/model-abc'. If"),
        ("no file in /usr/lib", "no file in …/lib"),
        ("GET /v1/models lists yours", "GET /v1/models lists yours"),
        ("org/tmp and https://hub.co/tmp/x and path:/tmp/mine", "org/tmp and https://hub.co/tmp/x and path:/tmp/mine"),
        ("and/or, 1/2, a /nowhere/else", "a /nowhere/else"),
    ],
)
def test_what_is_told_of_an_error_has_no_place_on_the_machine(said: str, tells: str) -> None:
    assert told(said).endswith(tells)


def test_what_is_told_of_an_error_is_bounded() -> None:
    assert len(told("/tmp/" * 10**6)) <= MOST_CHARACTERS + 3
