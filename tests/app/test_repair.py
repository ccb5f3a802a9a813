"""A finished job whose stored files were damaged is made whole again, under the same ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from app.services.jobs import Jobs
from microlith.contract import Job
from tests.work import claim, finish, publish, publisher_of, report, submit


@pytest.fixture
def done(backend: Backend, tmp_path: Path) -> str:
    """A finished job with two modules."""
    job_id = submit(backend, concerns=["act", "animal"])
    lease = claim(backend, job_id)
    for concern in (0, 1):
        publish(publisher_of(backend, lease), tmp_path, concern, report(0.9, 0.8))
    finish(backend, lease)
    return job_id


def stored(backend: Backend, job_id: str, concern: int) -> Path:
    with backend.database.unit() as unit:
        module = unit.modules.made(job_id, concern, 0.5)
        assert module is not None
        (artifact,) = unit.artifacts.of_modules([module.id])
    path = backend.objects.local_path(artifact.key)
    assert path is not None
    return path


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def repair(backend: Backend, job_id: str) -> Job:
    with backend.database.unit() as unit:
        return Jobs(unit, "default", backend).repair(job_id)


def test_a_repair_finds_the_file_that_was_damaged_and_only_that(backend: Backend, done: str) -> None:
    flip_a_bit(stored(backend, done, 1))
    assert repair(backend, done).state == "queued"
    assert publisher_of(backend, claim(backend, done)).find_published() == {(0, 0.5)}


def test_a_file_that_is_gone_is_found_by_any_later_attempt(backend: Backend, done: str) -> None:
    stored(backend, done, 0).unlink()
    repair(backend, done)
    assert publisher_of(backend, claim(backend, done)).find_published() == {(1, 0.5)}


def test_what_is_made_anew_keeps_its_ids(backend: Backend, done: str, api: TestClient, tmp_path: Path) -> None:
    def modules() -> list[dict[str, object]]:
        found: list[dict[str, object]] = api.get(f"/v1/jobs/{done}/modules").json()["data"]
        return found

    before, good = modules(), stored(backend, done, 1).read_bytes()
    flip_a_bit(stored(backend, done, 1))
    repair(backend, done)
    lease = claim(backend, done)
    (tmp_path / "again").mkdir()
    publish(publisher_of(backend, lease), tmp_path / "again", 1, report(0.9, 0.8))
    finish(backend, lease)
    assert stored(backend, done, 1).read_bytes() == good
    assert modules() == before
    repair(backend, done)
    assert publisher_of(backend, claim(backend, done)).find_published() == {(0, 0.5), (1, 0.5)}


def test_a_repair_that_was_cut_short_is_still_thorough_when_it_is_retried(backend: Backend, done: str) -> None:
    flip_a_bit(stored(backend, done, 1))
    repair(backend, done)
    with backend.database.unit() as unit:
        jobs = Jobs(unit, "default", backend)
        jobs.cancel(done)
        jobs.retry(done)
    assert publisher_of(backend, claim(backend, done)).find_published() == {(0, 0.5)}


def test_only_a_finished_job_can_be_repaired(backend: Backend, api: TestClient) -> None:
    answer = api.post(f"/v1/jobs/{submit(backend)}/repair")
    assert (answer.status_code, answer.json()["code"]) == (409, "CONFLICT")


def test_a_file_cut_short_is_refused_with_what_to_do(backend: Backend, done: str, api: TestClient) -> None:
    file = stored(backend, done, 0)
    file.write_bytes(file.read_bytes()[:-1])
    artifact = api.get(f"/v1/jobs/{done}/modules").json()["data"][0]["artifacts"][0]
    answer = api.get(artifact["urls"]["content"])
    assert (answer.status_code, answer.json()["code"]) == (500, "ARTIFACT_DAMAGED")
    assert "repair" in answer.json()["hint"]
