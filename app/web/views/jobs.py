"""The list of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from app.db.jobs import JobFilter
from app.web.views import phrases
from microlith.contract import Job, Page, State


@dataclass(frozen=True)
class JobLine:
    """A job in the list."""

    id: str
    title: str
    request: str
    dataset: str
    state: str
    mark: str
    phase: str | None
    percent: float
    ready: str
    labels: list[str]
    error: str | None
    created_at: datetime
    took: str | None


@dataclass(frozen=True)
class JobsPage:
    """What is listed, by what filter; `live` while something on it may change by itself."""

    lines: list[JobLine]
    next_cursor: str | None
    wanted: JobFilter
    label: str
    cursor: str = ""
    states: Sequence[str] = get_args(State)

    @property
    def live(self) -> bool:
        return any(line.state in ("queued", "running", "cancelling") for line in self.lines)

    @property
    def filtered(self) -> bool:
        return self.wanted != JobFilter()


def jobs_page(jobs: Page[Job], job_filter: JobFilter, cursor: str = "") -> JobsPage:
    """`cursor` is where this page of the list begins."""
    label = next((f"{key}={value}" for key, value in job_filter.labels.items()), "")
    return JobsPage([line(job) for job in jobs.data], jobs.next_cursor, job_filter, label, cursor)


def line(job: Job) -> JobLine:
    """A job as a line of the list."""
    return JobLine(
        id=job.id,
        title=phrases.title(job),
        request=phrases.request(job),
        dataset=phrases.dataset_name(job),
        state=job.state,
        mark=phrases.STATE_MARKS[job.state],
        phase=job.phase,
        percent=100.0 if job.state == "succeeded" else job.progress.percent,
        ready=f"{job.concerns.succeeded}/{job.concerns.total}" if job.concerns.total else "",
        labels=[f"{key}={value}" for key, value in job.labels.items()],
        error=job.error.message if job.error else None,
        created_at=job.created_at,
        took=phrases.took(job),
    )
