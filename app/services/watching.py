"""Looking at jobs: as they are, or waiting for one without asking again and again, over one feed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from app.db.jobs import JobFilter
from app.db.pool import DATABASE_AWAY, took_too_long, trusting
from app.db.unit import Unit
from app.services.backend import Backend
from app.services.jobs import Jobs
from app.services.lanes import Lane
from app.services.modules import ReadyModules
from microlith.contract import Event, Job, Page

Answer = TypeVar("Answer")

HEARTBEAT_SECONDS = 15.0
BATCH = 500


@dataclass(frozen=True)
class Watching:
    """What one caller looks at and waits for. Who waits shares every read with all who ask the same."""

    backend: Backend
    owner: str

    async def job(self, job_id: str, seconds: float = 0.0, known: Callable[[Job], bool] = lambda _: True) -> Job:
        """The job as soon as the caller does not know it, or as it is when it is over or `seconds` have passed.

        `known` says whether the caller has seen a version already; without it, the first one counts as seen.
        """
        until = time.monotonic() + seconds
        with self.backend.feed.watch(job_id) as bell:
            first = job = await self._job(job_id)
            while known(job) and job == first and not job.finished and (left := until - time.monotonic()) > 0:
                await bell.wait(left)
                job = await self._job(job_id)
        return job

    async def page(self, job_filter: JobFilter, before: str | None, limit: int) -> list[Job]:
        """Jobs as they are, newest first; one more than `limit` tells that there is a next page."""
        about = ("page", str(job_filter), before, limit)
        return await self._read(about, lambda jobs: jobs.page(job_filter, before, limit), self.backend.lanes.reads)

    async def modules(self, about: tuple[Hashable, ...], question: Callable[[ReadyModules], BaseModel | str]) -> bytes:
        """What is asked of modules, written out where it was read, and once for all who ask `about` the same."""

        def written(unit: Unit) -> bytes:
            answer = question(ReadyModules(unit, self.owner))
            return (answer if isinstance(answer, str) else answer.model_dump_json()).encode()

        return await self._shared(about, written, self.backend.lanes.bulk)

    async def outcome(self, job_id: str, seconds: float) -> Job:
        """The job as soon as it is over, or as it is when `seconds` have passed."""
        until = time.monotonic() + seconds
        with self.backend.feed.watch(job_id) as bell:
            job = await self._job(job_id)
            while not job.finished and (left := until - time.monotonic()) > 0:
                await bell.wait(left)
                job = await self._job(job_id)
        return job

    async def events(self, job_id: str, after: int) -> AsyncIterator[Event | None]:
        """Every event from `after` on, as it happens; None when it is time for a sign of life. Ends with the job."""
        with self.backend.feed.watch(job_id) as bell:
            while True:
                finished, batch = await self._news(job_id, after)
                for event in batch:
                    after = event.seq
                    yield event
                if finished and len(batch) < BATCH:
                    return
                if not batch and not await bell.wait(HEARTBEAT_SECONDS):
                    yield None

    async def history(self, job_id: str, after: int, limit: int) -> Page[Event]:
        """The events so far, a page at a time."""
        about = (job_id, after, limit)
        events = await self._read(about, lambda jobs: jobs.events(job_id, after, limit + 1), self.backend.lanes.reads)
        more = len(events) > limit
        return Page(data=events[:limit], next_cursor=str(events[limit - 1].seq) if more else None)

    async def _job(self, job_id: str) -> Job:
        return await self._read((job_id,), lambda jobs: jobs.get(job_id), self.backend.lanes.looks)

    async def _news(self, job_id: str, after: int) -> tuple[bool, list[Event]]:
        return await self._read((job_id, after), lambda jobs: jobs.news(job_id, after, BATCH), self.backend.lanes.looks)

    async def _read(self, about: tuple[Hashable, ...], question: Callable[[Jobs], Answer], lane: Lane) -> Answer:
        """The answer to a question that is told by what it is about."""
        return await self._shared(about, lambda unit: question(Jobs(unit, self.owner, self.backend)), lane)

    async def _shared(self, about: tuple[Hashable, ...], question: Callable[[Unit], Answer], lane: Lane) -> Answer:
        return await lane.share((self.owner, *about), lambda: self.ask(question))

    def ask(self, question: Callable[[Unit], Answer]) -> Answer:
        """The answer, read in a thread; asked once more where only a connection was cut."""
        try:
            with trusting():
                return self._look(question)
        except DATABASE_AWAY as error:  # or only a connection that was cut just now
            if took_too_long(error):
                raise
            return self._look(question)

    def _look(self, question: Callable[[Unit], Answer]) -> Answer:
        with self.backend.database.glance() as unit:
            return question(unit)
