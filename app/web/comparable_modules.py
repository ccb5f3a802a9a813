"""What modules there are to be put beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.db.jobs import JobFilter
from app.services.jobs import Jobs
from app.services.modules import ReadyModules
from microlith.contract import Job, Module

RECENT = 12


@dataclass(frozen=True)
class Gallery:
    """Modules of one caller, job by job."""

    all_jobs: Jobs
    modules: ReadyModules

    def jobs(self, chosen: Sequence[str]) -> list[tuple[Job, Sequence[Module]]]:
        """The newest jobs that succeeded, and those of the chosen modules, each with its modules."""
        named = self.modules.jobs_of(chosen)
        recent = [
            job for job in self.all_jobs.page(JobFilter(state="succeeded"), None, RECENT) if job.kind == "decompose"
        ]
        known = {job.id for job in recent}
        older = [self.all_jobs.get(job_id) for job_id in sorted(named - known, reverse=True)]
        return [(job, self.modules.results(job.id).modules) for job in [*recent, *older]]
