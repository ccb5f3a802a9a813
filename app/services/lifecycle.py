"""Every change of a job's state: one function, one transition table, one event for each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from app.db.tables import JobRow
from app.db.unit import Unit
from app.domain.errors import DeadlineExceeded, MicrolithError, WorkerLost
from app.domain.foreign_errors import told
from app.domain.ids import new_id
from app.domain.states import HELD_STATES, Action, next_state
from microlith.contract import TERMINAL_STATES, JobError, Kind, Progress

STOPPED = "worker stopped"
"""The reason of a release by a worker that was told to stop."""

LATER = "Retry it (finished concerns are kept), or submit it with a longer `deadline_seconds`."


def move(unit: Unit, job: JobRow, action: Action, **data: Any) -> None:
    """Apply `action` to a locked row, with its event carrying `data`. Raises Conflict where it is not allowed."""
    before = job.state
    job.state = next_state(job.state, action)
    now = unit.jobs.now()
    if job.state in TERMINAL_STATES:
        job.finished_at = now
        job.phase = None
    if job.state == "succeeded":
        job.repairing = False
    if job.state == "queued":
        job.queued_at = now
        job.phase = None
    if job.state not in HELD_STATES:
        job.lease_token = job.lease_expires_at = None
    if job.state != before or action == "claim":
        kind = "job.requeued" if action == "release" and job.state == "queued" else f"job.{job.state}"
        unit.events.append(job, kind, data, now)


def claim(unit: Unit, job_id: str, lease_seconds: float, kinds: Collection[Kind]) -> JobRow | None:
    """Give a queued job to the caller: one more attempt, a fresh lease. None when there is nothing to do.

    The message that woke the caller named a job. If that one is not queued any more, the next of these kinds is taken,
    so that a message that came twice, or late, is never a worker's time lost while others wait.
    """
    job = unit.jobs.lock(job_id)
    if job is None or job.state != "queued":
        job = unit.jobs.lock_next(kinds)
    while job is not None and _overdue(job, unit.jobs.now()):
        expire(unit, job)
        job = unit.jobs.lock_next(kinds)
    if job is None:
        return None
    now = unit.jobs.now()
    job.attempts += 1
    job.lease_token = new_id("lease")
    job.lease_expires_at = now + timedelta(seconds=lease_seconds)
    job.started_at = job.started_at or now
    move(unit, job, "claim", attempt=job.attempts)
    return job


def fail(unit: Unit, job: JobRow, error: MicrolithError) -> None:
    """End a job with what went wrong and what to do next. A job being cancelled ends as cancelled.

    Texts of libraries tell nothing of the machine's disk by then.
    """
    problem = JobError(code=error.code, message=told(error.detail), hint=error.hint and told(error.hint))
    if job.state != "cancelling":
        job.error = problem.model_dump()
    move(unit, job, "fail", **problem.model_dump())


def expire(unit: Unit, job: JobRow) -> None:
    """End a queued job whose deadline has passed: as expired if nobody ever started it, as failed otherwise."""
    if job.started_at is not None:
        fail(unit, job, DeadlineExceeded("The deadline passed before a worker claimed the job again.", hint=LATER))
        return
    passed = DeadlineExceeded("The deadline passed while the job was queued.", hint=LATER)
    job.error = JobError(code=passed.code, message=passed.detail, hint=passed.hint).model_dump()
    move(unit, job, "expire")


def abandon(unit: Unit, job: JobRow, max_attempts: int, reason: str = "worker lost") -> None:
    """Take a job from a worker that cannot go on: queued again, or failed once it has cost `max_attempts` workers.

    Attempts that workers handed back when they were told to stop have cost none.
    """
    lost = job.attempts - unit.events.count_requeued(job.id, STOPPED)
    if job.state == "running" and lost >= max_attempts:
        hint = (
            "The worker was killed, often because memory ran out. Lower `sampling.per_concern` or use a larger machine."
        )
        fail(unit, job, WorkerLost(f"{lost} workers were lost while running this job.", hint=hint))
    else:
        move(unit, job, "release", attempt=job.attempts, reason=reason)


def reset(job: JobRow, *, repairing: bool = False) -> None:
    """Make a finished job ready for another try; concerns that were published stay, unless their files are damaged."""
    job.error = job.started_at = job.finished_at = None
    job.attempts = 0
    job.progress = Progress().model_dump()
    job.repairing = job.repairing or repairing


def _overdue(job: JobRow, now: datetime) -> bool:
    return job.deadline_at is not None and job.deadline_at < now
