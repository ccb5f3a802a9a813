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
from worker.attempt.journal import Journal
from worker.attempt.lease import DEAF, CancelledError, Lease, LeaseLostError
from worker.attempt.retrying import patient
from worker.compute.memory import out_of_memory

log = structlog.get_logger()

Story = Callable[[JobSpec, Journal, Settings], None]

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
            _attempt(backend, lease, story_of)
        except LeaseLostError:
            log.warning("lease_lost")


def _attempt(backend: Backend, lease: Lease, story_of: Callable[[Kind], Story]) -> None:
    journal = Journal(lease, backend.objects, backend.queue)
    try:
        with lease.heartbeat(deaf=lambda heard: _end_process(lease, heard)):
            story_of(lease.kind)(lease.spec, journal, backend.settings)
    except CancelledError:
        _stop(lease)
    except LeaseLostError:
        raise
    except MicrolithError as error:
        _fail(lease, disk_fault(error, THIS) or error)
    except (SystemExit, KeyboardInterrupt):
        _give_back(backend, lease, lifecycle.STOPPED)
        raise
    except DATABASE_AWAY:
        _give_up(backend, lease)
    except Exception as error:
        _fail(lease, _told(error))
    else:
        _succeed(lease, journal)


@patient
def _succeed(lease: Lease, journal: Journal) -> None:
    with lease.write() as (unit, job):
        journal.close(job)
        lifecycle.move(unit, job, "succeed")
    log.info("job_succeeded")


@patient
def _stop(lease: Lease) -> None:
    with lease.write() as (unit, job):
        lifecycle.move(unit, job, "stop")
    log.info("job_cancelled")


@patient
def _fail(lease: Lease, error: MicrolithError) -> None:
    with lease.write() as (unit, job):
        lifecycle.fail(unit, job, error)
    log.warning("job_failed", code=error.code, detail=error.detail)


@patient
def _give_back(backend: Backend, lease: Lease, reason: str) -> None:
    with lease.write() as (unit, job):
        lifecycle.move(unit, job, "release", attempt=lease.attempt, reason=reason)
        unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority, job.kind))
    log.info("job_released", reason=reason)


@patient
def _give_up(backend: Backend, lease: Lease) -> None:
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
            _stop(lease)
        elif isinstance(heard, MicrolithError):
            _fail(lease, heard)
    finally:
        os._exit(DEAF)


def _told(error: Exception) -> MicrolithError:
    """What a caller should know of an error that is not ours."""
    if out_of_memory(error):
        return _too_large()
    return disk_fault(error, THIS) or _unexpected(error)


def _too_large() -> OutOfMemory:
    return OutOfMemory(
        "The worker has too little memory for this job.",
        hint="Lower `sampling.per_concern` or `evaluation.limit`, or send it to a larger machine.",
    )


def _unexpected(error: Exception) -> MicrolithError:
    log.error("job_crashed", exc_info=error)
    return MicrolithError(
        f"{type(error).__name__}: {error}", hint="The worker's log has the whole story; please report it."
    )
