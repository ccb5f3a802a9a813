"""What nothing names any more is removed: jobs past their time, and objects that no artifact names.

An object that is being published has no artifact yet: its publisher holds its name until the rows are there, and it
is young. So the sweep takes only what is old, unnamed and held by nobody, and looks once more when it holds the name.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import structlog

from app.db.tables import JobRow
from app.db.unit import Unit
from app.services.backend import Backend
from microlith.contract import TERMINAL_STATES

log = structlog.get_logger()

ARTIFACTS = "artifacts"
BATCH = 500


def sweep(backend: Backend) -> None:
    """One round. Any number of processes may ask for it; while one makes it, the others have nothing to do."""
    with backend.database.alone("sweep") as first:
        if first:
            _remove_expired(backend)
            _remove_orphans(backend)


def remove(unit: Unit, job: JobRow, backend: Backend) -> None:
    """Delete a job with its modules and artifacts; once that is committed, the objects that no other job names."""
    keys = unit.artifacts.keys_of_job(job.id)
    unit.jobs.delete(job)
    unit.after_commit(lambda: discard(backend, keys))


def discard(backend: Backend, keys: Iterable[str]) -> None:
    """Delete the objects that nothing names. A store that is away is no error: the sweep comes by again."""
    for key in keys:
        with backend.database.alone(key) as free:
            if free and not _named(backend, [key]):
                _delete(backend, key)


def _remove_expired(backend: Backend) -> None:
    """Jobs that have been over for longer than the settings keep them."""
    days = backend.settings.keep_days
    while days is not None:
        with backend.database.unit() as unit:
            expired = [unit.jobs.lock(job_id) for job_id in unit.jobs.finished_before(days)]
            leaving = [job for job in expired if job and job.state in TERMINAL_STATES]
            for job in leaving:
                remove(unit, job, backend)
        if not leaving:
            return
        log.info("jobs_expired", count=len(leaving))


def _remove_orphans(backend: Backend) -> None:
    """Objects of attempts that did not come to publish them."""
    old = backend.objects.list(ARTIFACTS, older_than=backend.settings.orphan_hours * 3600)
    while keys := set(islice(old, BATCH)):
        discard(backend, keys - _named(backend, keys))


def _named(backend: Backend, keys: Iterable[str]) -> set[str]:
    with backend.database.unit() as unit:
        return unit.artifacts.named(keys)


def _delete(backend: Backend, key: str) -> None:
    try:
        backend.objects.delete(key)
    except OSError as error:
        log.warning("object_left_behind", key=key, error=str(error))
