"""Jobs nobody looks after any more are found here: their worker is gone, their message is lost, their time is up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.services import lifecycle
from app.services.backend import Backend

log = structlog.get_logger()

ROUND_SECONDS = 5.0
UNHEARD_SECONDS = 15.0
"""A job that nobody has claimed for so long may have lost its message."""


@asynccontextmanager
async def reaping(backend: Backend) -> AsyncIterator[None]:
    """Make rounds while the block runs; a round that has begun is finished, so that its connection goes home."""
    over = asyncio.Event()
    rounds = asyncio.create_task(_rounds(backend, over))
    try:
        yield
    finally:
        over.set()
        await rounds


def reap(backend: Backend) -> None:
    """One round. Several servers may make it at once: each job is taken under its row's lock."""
    with backend.database.unit() as unit:
        lapsed, overdue = unit.jobs.lapsed(), unit.jobs.overdue()
    for job_id in lapsed:
        _recover(backend, job_id)
    for job_id in overdue:
        _expire(backend, job_id)
    _ring_again(backend)


def _ring_again(backend: Backend) -> None:
    """Jobs wait and the queue is empty: their messages are lost, or in the hands of workers that are busy.

    While any message is left in the queue nothing is rung, so that messages never pile up behind busy workers.
    """
    with backend.database.unit() as unit:
        waiting = unit.jobs.waiting(UNHEARD_SECONDS)
    try:
        if waiting and backend.queue.depth() == 0:
            for job_id, priority in waiting:
                backend.queue.enqueue(job_id, priority)
    except (OperationalError, OSError) as error:
        log.warning("broker_away", error=str(error))


def _recover(backend: Backend, job_id: str) -> None:
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        if job and job.lease_expires_at and job.lease_expires_at < unit.jobs.now():
            log.warning("worker_lost", job_id=job_id, attempt=job.attempts)
            lifecycle.abandon(unit, job, backend.settings.max_attempts)
            unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority))


def _expire(backend: Backend, job_id: str) -> None:
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        if job and job.state == "queued":
            lifecycle.expire(unit, job)


async def _rounds(backend: Backend, over: asyncio.Event) -> None:
    while not over.is_set():
        try:
            await run_in_threadpool(reap, backend)
        except SQLAlchemyError as error:
            log.warning("reaper_interrupted", error=str(error).splitlines()[0])
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), ROUND_SECONDS)
