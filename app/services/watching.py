"""Waiting for a job without asking again and again: long polls and event streams over one feed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from app.services.backend import Backend
from app.services.jobs import Jobs
from microlith.contract import Event, Job, Page

Answer = TypeVar("Answer")

HEARTBEAT_SECONDS = 15.0
BATCH = 500


@dataclass(frozen=True)
class Watching:
    """What one caller waits for. Every read is a short transaction of its own."""

    backend: Backend
    owner: str

    async def job(self, job_id: str, seconds: float = 0.0, known: Callable[[Job], bool] = lambda _: True) -> Job:
        """The job as soon as the caller does not know it, or as it is when it is over or `seconds` have passed.

        `known` says whether the caller has seen a version already; without it, the first one counts as seen.
        """
        until = time.monotonic() + seconds
        with self.backend.feed.watch(job_id) as bell:
            first = job = await self._read(lambda jobs: jobs.get(job_id))
            while known(job) and job == first and not job.finished and (left := until - time.monotonic()) > 0:
                await bell.wait(left)
                job = await self._read(lambda jobs: jobs.get(job_id))
        return job

    async def outcome(self, job_id: str, seconds: float) -> Job:
        """The job as soon as it is over, or as it is when `seconds` have passed."""
        until = time.monotonic() + seconds
        job = await self.job(job_id)
        while not job.finished and (left := until - time.monotonic()) > 0:
            job = await self.job(job_id, left, lambda now, seen=job: now == seen)
        return job

    async def events(self, job_id: str, after: int) -> AsyncIterator[Event | None]:
        """Every event from `after` on, as it happens; None when it is time for a sign of life. Ends with the job."""
        with self.backend.feed.watch(job_id) as bell:
            while True:
                finished, batch = await self._read(lambda jobs: _news(jobs, job_id, after))  # noqa: B023
                for event in batch:
                    after = event.seq
                    yield event
                if finished and len(batch) < BATCH:
                    return
                if not batch and not await bell.wait(HEARTBEAT_SECONDS):
                    yield None

    async def history(self, job_id: str, after: int, limit: int) -> Page[Event]:
        """The events so far, a page at a time."""
        events = await self._read(lambda jobs: jobs.events(job_id, after, limit + 1))
        more = len(events) > limit
        return Page(data=events[:limit], next_cursor=str(events[limit - 1].seq) if more else None)

    async def _read(self, question: Callable[[Jobs], Answer]) -> Answer:
        return await run_in_threadpool(self._ask, question)

    def _ask(self, question: Callable[[Jobs], Answer]) -> Answer:
        with self.backend.database.unit() as unit:
            return question(Jobs(unit, self.owner, self.backend))


def _news(jobs: Jobs, job_id: str, after: int) -> tuple[bool, list[Event]]:
    """Whether the job is over, asked first, so that its last event is among those read then."""
    finished = jobs.get(job_id).finished
    return finished, jobs.events(job_id, after, BATCH)
