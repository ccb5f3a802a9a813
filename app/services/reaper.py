"""Jobs nobody looks after any more are found here: their worker is gone, their message is lost, their time is up.

What nothing names any more is swept away from here too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.db.pool import DATABASE_AWAY
from app.domain.queues import QUEUES
from app.queue import BROKER_FAULTS
from app.services import lifecycle
from app.services.backend import Backend
from app.services.sweeping import sweep
from microlith.contract import Kind

log = structlog.get_logger()


@asynccontextmanager
async def run_reaper(backend: Backend) -> AsyncIterator[None]:
    """Make rounds, and sweep now and then, while the block runs.

    A round that has begun is finished, and a sweep ended at its next step, so that their connections go home.
    """
    over = asyncio.Event()
    tasks = [asyncio.create_task(_make_rounds(backend, over)), asyncio.create_task(_sweep_now_and_then(backend, over))]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*tasks)


def reap(backend: Backend, *, recover: bool = True) -> None:
    """One round. Several servers may make it at once: each job is taken under its row's lock.

    Without `recover` lapsed leases are left alone: after the database was away nobody could renew one.
    """
    with backend.database.unit() as unit:
        lapsed, overdue = unit.jobs.lapsed(), unit.jobs.overdue()
    if recover:
        _each(lapsed, _recover, backend)
    _each(overdue, _expire, backend)
    _ring_again(backend)


def _each(job_ids: Iterable[str], rescue: Callable[[Backend, str], None], backend: Backend) -> None:
    """A job that cannot be rescued does not keep the others from it."""
    for job_id in job_ids:
        try:
            rescue(backend, job_id)
        except DATABASE_AWAY:
            raise
        except Exception:  # whatever is wrong with this one
            log.exception("job_recovery_failed", job_id=job_id)


def _ring_again(backend: Backend) -> None:
    """Jobs wait and the queue is empty: their messages are lost, or in the hands of workers that are busy.

    While any message is left in the queue nothing is rung, so that messages never pile up behind busy workers.
    """
    try:
        for kind in QUEUES:
            _ring_for(backend, kind)
    except BROKER_FAULTS as error:
        log.warning("broker_unreachable", error=str(error))


def _ring_for(backend: Backend, kind: Kind) -> None:
    with backend.database.unit() as unit:
        waiting = unit.jobs.waiting(kind, backend.settings.unheard_seconds)
    if waiting and backend.queue.depth(kind) == 0:
        for job_id, priority in waiting:
            backend.queue.enqueue(job_id, priority, kind)


def _recover(backend: Backend, job_id: str) -> None:
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        if job and job.lease_expires_at and job.lease_expires_at < unit.jobs.now():
            log.warning("worker_lost", job_id=job_id, attempt=job.attempts)
            lifecycle.abandon(unit, job, backend.settings.max_attempts)
            unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority, job.kind))


def _expire(backend: Backend, job_id: str) -> None:
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        if job and job.state == "queued":
            lifecycle.expire(unit, job)


async def _make_rounds(backend: Backend, over: asyncio.Event) -> None:
    blind_until = 0.0
    while not over.is_set():
        recover = time.monotonic() > blind_until
        try:
            await run_in_threadpool(reap, backend, recover=recover)
        except SQLAlchemyError as error:
            blind_until = time.monotonic() + backend.settings.lease_seconds
            log.warning("reaper_interrupted", error=str(error).splitlines()[0])
        except Exception:  # the next round is made in any case: nobody else would miss it
            log.exception("reaper_failed")
        await _rest(over, backend.settings.reaper_seconds)


async def _sweep_now_and_then(backend: Backend, over: asyncio.Event) -> None:
    while not over.is_set():
        try:
            await run_in_threadpool(sweep, backend, over.is_set)
        except (SQLAlchemyError, OSError) as error:
            log.warning("sweep_interrupted", error=str(error).splitlines()[0])
        except Exception:
            log.exception("sweep_failed")
        await _rest(over, backend.settings.sweep_hours * 3600)


async def _rest(over: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
