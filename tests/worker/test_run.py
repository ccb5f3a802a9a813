"""How an attempt ends, on a real database: well, cancelled, failed, out of memory, given back, or not at all."""

from __future__ import annotations

import errno
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
import torch
from safetensors import SafetensorError
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.domain.errors import NotEnoughSamples, VerificationFailed
from app.services.backend import Backend
from app.services.jobs import Jobs
from microlith.contract import Job, JobSpec
from tests.work import submit
from worker.attempt.attempt import Attempt
from worker.attempt.lease import Lease, LeaseLostError
from worker.attempt.run import run
from worker.attempt.scratch import scratch

Story = Callable[[JobSpec, Attempt, object], None]


def outcome(backend: Backend, story: Story) -> Job:
    """The job after an attempt whose work is `story`."""
    job_id = submit(backend)
    run(backend, job_id, lambda _: story)
    with backend.database.unit() as unit:
        return Jobs(unit, "default", backend).get(job_id)


def raising(error: BaseException) -> Story:
    def story(_spec: JobSpec, _attempt: Attempt, _settings: object) -> None:
        raise error

    return story


def test_an_attempt_that_ends_well_is_a_success(backend: Backend) -> None:
    def story(_spec: JobSpec, attempt: Attempt, _settings: object) -> None:
        attempt.progress.expect(10)
        with attempt.progress.phase("scoring"):
            attempt.progress.follow()(4)

    job = outcome(backend, story)
    assert (job.state, job.phase, job.error) == ("succeeded", None, None)
    assert (job.progress.percent, job.progress.done, job.progress.total) == (100.0, 10, 10)
    assert "scoring" in job.timings
    assert job.finished_at is not None


def test_what_the_caller_can_mend_is_told_with_a_hint(backend: Backend) -> None:
    job = outcome(backend, raising(NotEnoughSamples("too few", hint="give more")))
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.message, job.error.hint) == ("NOT_ENOUGH_SAMPLES", "too few", "give more")


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_too_little_memory_names_what_to_lower(backend: Backend, error: Exception) -> None:
    job = outcome(backend, raising(error))
    assert job.error is not None
    assert job.error.code == "OUT_OF_MEMORY"
    assert "per_concern" in (job.error.hint or "")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/srv/secret"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.EMFILE, "Too many open files"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        VerificationFailed("module.zip does not open: OSError: [Errno 28] No space left on device: '/srv/secret'."),
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/srv/secret']"),
    ],
)
def test_a_worker_whose_disk_is_full_says_so(backend: Backend, error: Exception) -> None:
    job = outcome(backend, raising(error))
    assert job.error is not None
    assert job.error.code == "STORAGE_UNAVAILABLE"
    assert "/srv" not in job.error.message
    assert "again" in (job.error.hint or "")


def test_a_worker_whose_temporary_folder_is_gone_says_so(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def story(_spec: JobSpec, _attempt: Attempt, _settings: object) -> None:
        with scratch():
            raise AssertionError("there is no folder to work in")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    job = outcome(backend, story)
    assert job.error is not None
    assert (job.error.code, str(tmp_path) in job.error.message) == ("STORAGE_UNAVAILABLE", False)


def test_an_attempt_is_logged_under_the_job_that_was_claimed_not_the_one_of_the_message(backend: Backend) -> None:
    dead, waiting = submit(backend), submit(backend, ratio=0.7)
    with backend.database.unit() as unit:
        Jobs(unit, "default", backend).cancel(dead)
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        run(backend, dead, lambda _: raising(NotEnoughSamples("too few")))
    told = {line["event"]: line["job_id"] for line in lines}
    assert told == {"job_started": waiting, "job_failed": waiting}


def test_the_heartbeat_logs_under_the_name_of_the_job(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(backend, settings=backend.settings.model_copy(update={"heartbeat_seconds": 0.01}))
    beaten = threading.Event()

    def missed(_lease: Lease) -> None:
        beaten.set()
        raise OperationalError("SELECT 1", {}, Exception("away"))

    def story(_spec: JobSpec, _attempt: Attempt, _settings: object) -> None:
        assert beaten.wait(10)

    monkeypatch.setattr(Lease, "renew", missed)
    job_id = submit(quick)
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        run(quick, job_id, lambda _: story)
    assert {line["job_id"] for line in lines if line["event"] == "heartbeat_missed"} == {job_id}


def test_a_fault_of_ours_is_internal_and_does_not_loop(backend: Backend) -> None:
    job = outcome(backend, raising(ZeroDivisionError("oops")))
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == "INTERNAL"


def test_a_cancel_ends_as_cancelled(backend: Backend) -> None:
    def story(_spec: JobSpec, attempt: Attempt, _settings: object) -> None:
        with backend.database.unit() as unit:
            Jobs(unit, "default", backend).cancel(attempt.lease.job_id)
        attempt.lease.renew()
        attempt.progress.follow()(1)

    assert outcome(backend, story).state == "cancelled"


def test_a_job_that_finished_before_it_heard_of_the_cancel_is_cancelled_all_the_same(backend: Backend) -> None:
    def story(_spec: JobSpec, attempt: Attempt, _settings: object) -> None:
        with backend.database.unit() as unit:
            Jobs(unit, "default", backend).cancel(attempt.lease.job_id)

    assert outcome(backend, story).state == "cancelled"


def test_a_process_told_to_stop_gives_the_job_back(backend: Backend) -> None:
    job_id = submit(backend)
    with pytest.raises(SystemExit):
        run(backend, job_id, lambda _: raising(SystemExit(0)))
    with backend.database.unit() as unit:
        job = Jobs(unit, "default", backend).get(job_id)
    assert (job.state, job.attempts) == ("queued", 1)


def test_who_lost_the_lease_says_nothing(backend: Backend) -> None:
    def story(_spec: JobSpec, attempt: Attempt, _settings: object) -> None:
        with backend.database.unit() as unit:
            job = unit.jobs.lock(attempt.lease.job_id)
            assert job is not None
            job.lease_token = "somebody else's"
            job.lease_expires_at = unit.jobs.now() + timedelta(hours=1)
        attempt.lease.renew()
        with pytest.raises(LeaseLostError):
            attempt.lease.checkpoint()
        raise NotEnoughSamples("nobody should read this")

    job = outcome(backend, story)
    assert (job.state, job.error) == ("running", None)


def test_a_message_for_a_job_that_is_over_does_nothing(backend: Backend) -> None:
    job = outcome(backend, raising(NotEnoughSamples("too few")))
    ran = []
    run(backend, job.id, lambda _: lambda *_: ran.append(1))
    run(backend, "job_unknown", lambda _: lambda *_: ran.append(1))
    assert ran == []


def test_a_fault_that_quotes_a_file_ends_the_job_at_the_first_attempt_and_tells_no_path(backend: Backend) -> None:
    said = "File name too long: '/tmp/microlith-job-1-x/a\0b\ud800.zip'"
    job = outcome(backend, raising(OSError(errno.ENAMETOOLONG, said)))
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.error is not None
    assert "a\ufffdb\ufffd.zip" in job.error.message
    assert "/tmp" not in job.error.message
