"""Calls about jobs: submit them, watch them, stop them, read their results."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Unpack

import httpx

from microlith.client.answers import path_of, read
from microlith.client.calls import Calls
from microlith.client.filters import JobFilters, query
from microlith.client.follow import follow
from microlith.contract import Event, Job, JobSpec, Plan, Results
from microlith.errors import JobFailed

LONGEST_WAIT = 60
WATCH_SECONDS = 30
WATCH_PAUSE = 0.2


class JobCalls(Calls):
    """Calls about jobs."""

    async def submit(self, spec: JobSpec | dict[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Submit a decomposition. An identical finished job is returned instead, unless the spec says `reuse:
        false`.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = await self._server.send("POST", "/v1/jobs", json=_body(spec), headers=headers, repeatable=True)
        return read(Job, answer)

    async def plan(self, spec: JobSpec | dict[str, Any]) -> Plan:
        """Return what `submit` would do, without doing it: layers, modules, an estimate of time and size."""
        only = {"validate_only": "true"}
        return read(Plan, await self._server.send("POST", "/v1/jobs", json=_body(spec), params=only, repeatable=True))

    async def job(self, job_id: str, wait: float | None = None) -> Job:
        """Return the job. With `wait`, return it at its next change, or after `wait` seconds (at most 60)."""
        if wait is None:
            return await self._get(Job, path_of("jobs", job_id))
        return read(Job, await self._long_poll(job_id, min(wait, LONGEST_WAIT)))

    def jobs(self, **filters: Unpack[JobFilters]) -> AsyncIterator[Job]:
        """Yield your jobs, newest first. Pages are requested as you read."""
        return self._pages(Job, "/v1/jobs", query(filters))

    async def cancel(self, job_id: str) -> Job:
        """Stop a job. It ends as cancelled and keeps its finished modules."""
        return await self._post(Job, path_of("jobs", job_id, "cancel"))

    async def retry(self, job_id: str) -> Job:
        """Queue a failed, cancelled or expired job again. It continues with the remaining concerns."""
        return await self._post(Job, path_of("jobs", job_id, "retry"))

    async def repair(self, job_id: str) -> Job:
        """Check every stored file of a finished job, and make damaged or missing ones again."""
        return await self._post(Job, path_of("jobs", job_id, "repair"))

    async def delete(self, job_id: str) -> None:
        """Delete a finished job with its modules and their files."""
        await self._server.send("DELETE", path_of("jobs", job_id))

    def events(self, job_id: str, after: int = 0) -> AsyncIterator[Event]:
        """Yield the job's events after number `after`, then new ones as they happen, until the job is over. If the
        connection breaks, the client resumes it, so every event comes exactly once.
        """
        return follow(self._server, path_of("jobs", job_id), after)

    async def watch(self, job_id: str) -> AsyncIterator[Job]:
        """Yield the job now, and again after every change, until it is over."""
        etag: str | None = None
        while True:
            asked_at = time.monotonic()
            answer = await self._long_poll(job_id, WATCH_SECONDS if etag else 0, etag)
            if answer.status_code != 304:
                etag = answer.headers.get("ETag")
                job = read(Job, answer)
                yield job
                if job.finished:
                    return
            await self._server.pause(max(0.0, WATCH_PAUSE - (time.monotonic() - asked_at)))

    async def wait(self, job_id: str, on_event: Callable[[Event], object] | None = None, *, check: bool = True) -> Job:
        """Return the job once it is over. Raises JobFailed if it did not succeed, unless `check` is false."""
        if on_event:
            async for event in self.events(job_id):
                on_event(event)
            job = await self.job(job_id)
        else:
            async for snapshot in self.watch(job_id):
                job = snapshot
        if check and job.state != "succeeded":
            raise JobFailed(job)
        return job

    async def results(self, job_id: str) -> Results:
        """Return the base's report, every module so far and the comparison of the two."""
        return await self._get(Results, path_of("jobs", job_id, "results"))

    async def results_csv(self, job_id: str, *, raw: bool = False) -> str:
        """Return the table `class,precision,recall,f1-score,support`: row i is module i on its own class. A name that a
        spreadsheet would run (`=1+1`) gets an apostrophe in front, unless `raw` is true.
        """
        params = {"raw": "true"} if raw else None
        return (await self._server.send("GET", path_of("jobs", job_id, "results.csv"), params=params)).text

    async def _long_poll(self, job_id: str, seconds: float, etag: str | None = None) -> httpx.Response:
        if not seconds:
            return await self._server.send("GET", path_of("jobs", job_id))
        headers = {"Prefer": f"wait={seconds:g}"} | ({"If-None-Match": etag} if etag else {})
        patience = self._server.timeout + seconds
        return await self._server.send("GET", path_of("jobs", job_id), headers=headers, timeout=patience)


def _body(spec: JobSpec | dict[str, Any]) -> dict[str, Any]:
    return spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
