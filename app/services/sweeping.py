"""What nothing names any more is removed: jobs past their time, uploads nobody used, objects that were left behind.

What is young is left alone: it may be about to be named.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import structlog

from app.db.tables import JobRow
from app.db.unit import Unit
from app.domain.queues import QUEUES
from app.services import uploads
from app.services.backend import Backend
from app.services.discarding import discard
from app.storage import ARTIFACTS
from microlith.contract import TERMINAL_STATES, Kind

log = structlog.get_logger()

BOUNDARY = "boundary"
"""Where a set of samples generated at the decision boundary is, for as long as a job that was made from it."""

BASES, BASES_DAYS = "bases", 30
"""Where workers remember what they measured of a base, and for how long; it is measured again after that."""

SHARDS = "shards"
"""Where a worker leaves what others need to help it. It takes that away itself, unless it is lost."""

STUDENTS = "students"
"""Where a worker leaves how far the students of a job are. It takes that away itself, unless it is lost."""

KEEPERS = {
    ARTIFACTS: "the artifact of a module or a job",
    uploads.UPLOADS: "the upload",
    BOUNDARY: "every job whose samples are of the set",
    SHARDS: "the worker that shares its job out",
    STUDENTS: "the worker whose job learns, and the next attempt",
    BASES: f"nobody: {BASES_DAYS} days",
}
"""Every folder of the store, and who keeps what is in it; what nobody keeps is swept."""

BATCH = 500


def sweep(backend: Backend, over: Callable[[], bool] = lambda: False) -> None:
    """One round. Any number of servers may begin it; while one makes it, the others have nothing to do.

    It ends early as soon as `over` says so.
    """
    with backend.database.try_lock("sweep") as first:
        if first:
            for kind in QUEUES:
                _remove_expired(backend, kind, over)
            uploads.remove_unused(backend, backend.settings.orphan_hours)
            _remove_orphans(backend, over)


def remove(unit: Unit, job: JobRow, backend: Backend) -> None:
    """Delete a job with its modules and artifacts; once that is committed, the objects that no other job names."""
    keys = unit.artifacts.keys_of_job(job.id)
    unit.jobs.delete(job)
    unit.after_commit(lambda: discard(backend, keys))


def _remove_expired(backend: Backend, kind: Kind, over: Callable[[], bool]) -> None:
    """Jobs that have been over for longer than the settings keep their kind."""
    days = backend.settings.days_kept(kind)
    while days is not None and not over():
        with backend.database.unit() as unit:
            expired = [unit.jobs.lock(job_id) for job_id in unit.jobs.finished_before(days, kind)]
            leaving = [job for job in expired if job and job.state in TERMINAL_STATES]
            for job in leaving:
                remove(unit, job, backend)
        if not leaving:
            return
        log.info("jobs_expired", kind=kind, count=len(leaving))


def _remove_orphans(backend: Backend, over: Callable[[], bool]) -> None:
    """Objects whose attempt or upload never came to name them, or was lost, and memories of bases that are old."""
    hours = dict.fromkeys(KEEPERS, backend.settings.orphan_hours) | {BASES: BASES_DAYS * 24}
    for folder, kept in hours.items():
        old = backend.objects.list(folder, older_than=kept * 3600)
        while not over() and (keys := list(islice(old, BATCH))):
            discard(backend, keys)
