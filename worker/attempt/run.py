"""What happens to an attempt: claimed, run under a heartbeat, and ended one way or another.

An attempt that is cancelled, out of time, out of memory or broken says so in the job. One that lost its lease says
nothing: the job is somebody else's. One whose process is told to stop gives the job back, and another worker goes on
with the concerns that are left. A database or an object store that is away for a while is waited for.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import structlog

from app.db.pool import DATABASE_AWAY
from app.domain.disk_faults import disk_fault
from app.domain.errors import MicrolithError, OutOfMemory
from app.services import lifecycle
from app.services.backend import Backend
from app.settings import Settings
from microlith.contract import JobSpec, Kind
from worker.attempt.attempt import Attempt
from worker.attempt.lease import DEAF, CancelledError, Lease, LeaseLostError
from worker.attempt.retrying import patient
from worker.compute.memory import out_of_memory

log = structlog.get_logger()

Story = Callable[[JobSpec, Attempt, Settings], None]
"""What is done for a job of one kind. It raises what ends the attempt."""

THIS = "The worker"


def run(backend: Backend, job_id: str, story_of: Callable[[Kind], Story]) -> None:
    """Run a queued job to its end: the one named, or the next where that is over. Does nothing where none waits.

    `story_of` says what is done for a job of a kind.
    """
    lease = Lease.claim(backend.database, backend.settings, job_id)
    if lease is None:
        return
    with structlog.contextvars.bound_contextvars(job_id=lease.job_id, attempt=lease.attempt):
        log.info("job_started")
        try:
            _run_story(story_of, Attempt.of(lease, backend), backend)
        except LeaseLostError:
            log.warning("lease_lost")


def _run_story(story_of: Callable[[Kind], Story], attempt: Attempt, backend: Backend) -> None:
    lease = attempt.lease
    try:
        with lease.heartbeat(deaf=lambda heard: _end_process(lease, heard)):
            story = story_of(lease.kind)  # imported while the heart beats: that can take longer than a lease
            story(lease.spec, attempt, backend.settings)
    except CancelledError:
        stop(lease)
    except LeaseLostError:
        raise
    except MicrolithError as error:
        fail(lease, disk_fault(error, THIS) or error)
    except (SystemExit, KeyboardInterrupt):
        give_back(backend, lease, lifecycle.STOPPED)
        raise
    except DATABASE_AWAY:
        give_up(backend, lease)
    except Exception as error:
        fail(lease, _explain(error))
    else:
        succeed(attempt)


@patient
def succeed(attempt: Attempt) -> None:
    """The job is done."""
    with attempt.lease.write() as (unit, job):
        attempt.progress.complete(job)
        lifecycle.move(unit, job, "succeed")
    log.info("job_succeeded")


@patient
def stop(lease: Lease) -> None:
    """The caller does not want the job any more."""
    with lease.write() as (unit, job):
        lifecycle.move(unit, job, "stop")
    log.info("job_cancelled")


@patient
def fail(lease: Lease, error: MicrolithError) -> None:
    """The job ends with this error."""
    with lease.write() as (unit, job):
        lifecycle.fail(unit, job, error)
    log.warning("job_failed", code=error.code, detail=error.detail)


@patient
def give_back(backend: Backend, lease: Lease, reason: str) -> None:
    """Another worker goes on with the job, and this attempt does not count."""
    with lease.write() as (unit, job):
        lifecycle.move(unit, job, "release", attempt=lease.attempt, reason=reason)
        unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority, job.kind))
    log.info("job_released", reason=reason)


@patient
def give_up(backend: Backend, lease: Lease) -> None:
    """The database was away for longer than an attempt waits: another one goes on, unless this was the last."""
    with lease.write() as (unit, job):
        lifecycle.abandon(unit, job, backend.settings.max_attempts, "database away")
        unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority, job.kind))
    log.warning("job_abandoned")


def _end_process(lease: Lease, heard: Exception) -> None:
    """The backstop: compute that meets no checkpoint ends with its process, and the job as it would have ended."""
    log.error("compute_unresponsive", heard=type(heard).__name__)
    try:
        if isinstance(heard, CancelledError):
            stop(lease)
        elif isinstance(heard, MicrolithError):
            fail(lease, heard)
    finally:
        os._exit(DEAF)


def _explain(error: Exception) -> MicrolithError:
    """What a caller should know of an error that is not ours."""
    if out_of_memory(error):
        return OutOfMemory(
            "The worker has too little memory for this job.",
            hint="Lower `sampling.per_concern` or `evaluation.limit`, or send it to a larger machine.",
        )
    if fault := disk_fault(error, THIS):
        return fault
    log.error("job_crashed", exc_info=error)
    return MicrolithError(
        f"{type(error).__name__}: {error}", hint="The worker's log has the whole story; please report it."
    )
