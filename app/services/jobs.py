"""What happens to a request about jobs.

A submission is checked against its sources, answered from an earlier identical job where there is one, and otherwise
becomes a row; the doorbell rings after the commit. Everything else here finds a job of the caller and moves it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from pydantic import TypeAdapter

from app.db.jobs import JobFilter
from app.db.tables import ArtifactRow, IdempotencyRow, JobRow
from app.db.unit import Unit
from app.domain.errors import Conflict, IdempotencyInFlight, IdempotencyMismatch, NotFound
from app.domain.states import Action
from app.services import lifecycle
from app.services.artifacts import listed
from app.services.backend import Backend
from app.services.local_copies import Shelves
from app.services.planning import Resolution, plan, resolve
from app.services.queueing import Draft, deadline, queue, ring
from app.services.sweeping import remove
from app.sources.references import Shelf
from microlith.contract import (
    TERMINAL_STATES,
    Artifact,
    CombineSpec,
    ConcernCounts,
    Event,
    Job,
    JobError,
    JobSpec,
    LayoutOrder,
    Plan,
    Prediction,
    PredictionOrder,
    Progress,
    Resolved,
)
from microlith.contract.job import JobUrls

ORDER: TypeAdapter[LayoutOrder | CombineSpec | PredictionOrder] = TypeAdapter(
    LayoutOrder | CombineSpec | PredictionOrder
)


@dataclass(frozen=True)
class Submission:
    """A spec with the caller's idempotency key, if one was sent."""

    spec: JobSpec
    key: str | None = None

    @property
    def sha256(self) -> str:
        """Tells two bodies apart by what they mean, not by their spacing."""
        return hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class Jobs:
    """Jobs of one caller, inside one unit of work."""

    unit: Unit
    owner: str
    backend: Backend

    def submit(self, submission: Submission) -> Job:
        """Make the job, or find the one this request already made or an identical one that has finished."""
        with self._sources(submission.spec) as (spec, shelf):
            replayed = self._replay(submission) if submission.key else None
            if replayed:
                return self._show(replayed)
            resolution = resolve(spec, allow_paths=self.backend.settings.paths, shelf=shelf)
        earlier = self.unit.jobs.reusable(self.owner, resolution.fingerprint) if resolution.spec.reuse else None
        job = earlier or self._create(resolution)
        if submission.key:
            self._remember(submission, job)
        return self._show(job)

    def plan(self, spec: JobSpec) -> Plan:
        """What `submit` would do."""
        with self._sources(spec) as (whole, shelf):
            return plan(resolve(whole, allow_paths=self.backend.settings.paths, shelf=shelf))

    def get(self, job_id: str) -> Job:
        return self._show(self.unit.jobs.find(job_id, self.owner) or _missing(job_id))

    def page(self, job_filter: JobFilter, before: str | None, limit: int) -> list[Job]:
        """Newest first; one more than `limit` tells the caller that there is a next page."""
        rows = self.unit.jobs.page(self.owner, job_filter, before, limit + 1)
        return self._travelling(rows)

    def events(self, job_id: str, after: int, limit: int) -> list[Event]:
        self.unit.jobs.state(job_id, self.owner) or _missing(job_id)
        return self._events(job_id, after, limit)

    def news(self, job_id: str, after: int, limit: int) -> tuple[bool, list[Event]]:
        """Whether the job is over, asked first, so that its last event is among those read then."""
        state = self.unit.jobs.state(job_id, self.owner) or _missing(job_id)
        return state in TERMINAL_STATES, self._events(job_id, after, limit)

    def milestones(self, job_id: str, limit: int = 500) -> list[Event]:
        """What happened, newest `limit` of it, without the steps of progress between."""
        self.unit.jobs.find(job_id, self.owner) or _missing(job_id)
        return [Event.model_validate(row, from_attributes=True) for row in self.unit.events.milestones(job_id, limit)]

    def cancel(self, job_id: str) -> Job:
        """A queued job is cancelled at once; a running one stops at its worker's next checkpoint."""
        job = self._lock(job_id)
        lifecycle.move(self.unit, job, "cancel")
        return self._show(job)

    def retry(self, job_id: str) -> Job:
        """Queue a failed, cancelled or expired job again; concerns it has published are not made anew."""
        return self._again(job_id, "retry")

    def repair(self, job_id: str) -> Job:
        """Queue a finished job again to look at every stored file and make anew those that are damaged or gone."""
        return self._again(job_id, "repair")

    def delete(self, job_id: str) -> None:
        """Remove a finished job with its modules, artifacts and those objects that no other artifact names."""
        job = self._lock(job_id)
        if job.state not in TERMINAL_STATES:
            raise Conflict(f"The job is {job.state}.", hint="Cancel it and delete it when it has stopped.")
        remove(self.unit, job, self.backend)

    def _events(self, job_id: str, after: int, limit: int) -> list[Event]:
        return [Event.model_validate(row, from_attributes=True) for row in self.unit.events.after(job_id, after, limit)]

    def _again(self, job_id: str, action: Action) -> Job:
        job = self._lock(job_id)
        lifecycle.move(self.unit, job, action)
        lifecycle.reset(job, repairing=action == "repair")
        job.deadline_at = deadline(JobSpec.model_validate(job.spec), job.queued_at)
        ring(self.unit, job, self.backend)
        return self._show(job)

    @contextmanager
    def _sources(self, spec: JobSpec) -> Iterator[tuple[JobSpec, Shelf]]:
        """The spec as its registered sources complete it, and where they are. Files may have to be fetched for it,

        so it comes before the first statement of the unit of work, which then holds no connection yet.
        """
        shelves = Shelves.of(self.backend, self.owner)
        whole = shelves.completed(spec)
        with shelves.shelf(whole) as shelf:
            yield whole, shelf

    def _replay(self, submission: Submission) -> JobRow | None:
        key = submission.key or ""
        if not self.unit.idempotency.reserve(self.owner, key):
            raise IdempotencyInFlight(
                "A request with this Idempotency-Key is being handled.", hint="Try again shortly."
            )
        earlier = self.unit.idempotency.find(self.owner, key)
        if earlier is None:
            return None
        if earlier.body_sha256 != submission.sha256:
            raise IdempotencyMismatch(
                "This Idempotency-Key was sent before with another body.", hint="Use a new key for a new request."
            )
        return self.unit.jobs.find(earlier.job_id, self.owner)

    def _remember(self, submission: Submission, job: JobRow) -> None:
        self.unit.idempotency.add(
            IdempotencyRow(
                owner=self.owner,
                key=submission.key or "",
                body_sha256=submission.sha256,
                job_id=job.id,
                created_at=self.unit.jobs.now(),
            )
        )

    def _create(self, resolution: Resolution) -> JobRow:
        concerns = len(resolution.concerns or [])
        draft = Draft("decompose", resolution.spec, resolution.resolved, resolution.fingerprint, concerns)
        return queue(self.unit, self.owner, self.backend, draft)

    def _lock(self, job_id: str) -> JobRow:
        return self.unit.jobs.lock(job_id, self.owner) or _missing(job_id)

    def _show(self, job: JobRow) -> Job:
        (shown,) = self._travelling([job])
        return shown

    def _travelling(self, rows: Sequence[JobRow]) -> list[Job]:
        positions = self.unit.jobs.queue_positions(row.id for row in rows if row.state == "queued")
        artifacts: dict[str | None, list[ArtifactRow]] = defaultdict(list)
        if combinations := [row.id for row in rows if row.kind == "combine"]:
            for artifact in self.unit.artifacts.of_jobs(combinations):
                artifacts[artifact.job_id].append(artifact)
        return [show(row, positions.get(row.id), self._expiry(row), listed(artifacts[row.id])) for row in rows]

    def _expiry(self, row: JobRow) -> datetime | None:
        days = self.backend.settings.days_kept(row.kind)
        return row.finished_at + timedelta(days=days) if row.finished_at and days else None


def show(row: JobRow, queue_position: int | None, expires_at: datetime | None, artifacts: list[Artifact]) -> Job:
    """A row as it travels."""
    return Job(
        id=row.id,
        kind=row.kind,
        state=row.state,
        phase=row.phase,
        progress=Progress.model_validate(row.progress),
        concerns=ConcernCounts(total=row.concerns_total, succeeded=row.concerns_succeeded, failed=row.concerns_failed),
        queue_position=queue_position,
        spec=JobSpec.model_validate(row.spec),
        order=row.order and ORDER.validate_python(row.order),
        resolved=Resolved.model_validate(row.resolved),
        error=row.error and JobError.model_validate(row.error),
        attempts=row.attempts,
        prediction=row.prediction and Prediction.model_validate(row.prediction),
        artifacts=artifacts,
        labels=row.labels,
        timings=row.timings,
        created_at=row.created_at,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        expires_at=expires_at,
        urls=_urls(row.id),
    )


def _urls(job_id: str) -> JobUrls:
    base = f"/v1/jobs/{job_id}"
    return JobUrls(
        self=base,
        events=f"{base}/events",
        modules=f"{base}/modules",
        results=f"{base}/results",
        cancel=f"{base}/cancel",
    )


def _missing(job_id: str) -> NoReturn:
    raise NotFound(f"There is no job {job_id}.", hint="GET /v1/jobs (`microlith list`) lists yours.")
