"""Modules and the results document they add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.db.unit import Unit
from app.domain.errors import NotFound
from app.domain.verdicts import job_verdict, module_verdict
from app.services import artifacts
from microlith.contract import (
    Baselines,
    BaseResult,
    Combination,
    Comparison,
    Module,
    OthersOwn,
    Overlap,
    Resolved,
    Results,
)


@dataclass(frozen=True)
class ReadyModules:
    """Modules of one caller, inside one unit of work."""

    unit: Unit
    owner: str

    def page(self, job_id: str, after: str | None, limit: int) -> list[Module]:
        """Those that are ready, by ratio and concern; one more than `limit` tells that there is a next page."""
        self._job(job_id)
        return self._show(job_id, self.unit.modules.page(job_id, after, limit + 1))

    def get(self, module_id: str) -> Module:
        row = self.unit.modules.find(module_id, self.owner)
        if row is None:
            raise _no_module(module_id)
        (shown,) = self._show(row.job_id, [row])
        return shown

    def jobs_of(self, module_ids: Sequence[str]) -> set[str]:
        """The jobs that these modules are of. Raises NotFound where one is not there."""
        jobs = self.unit.modules.jobs_of(module_ids, self.owner)
        missing = [module_id for module_id in module_ids if module_id not in jobs]
        if missing:
            raise _no_module(missing[0])
        return set(jobs.values())

    def results(self, job_id: str) -> Results:
        """The base, every module that is ready, and how the two compare at each ratio."""
        job = self._job(job_id)
        modules, stored = self._show(job_id, self.unit.modules.of_job(job_id)), (job.base or {}).get("baselines")
        baselines = stored and Baselines.model_validate(stored)
        return Results(
            job_id=job_id,
            state=job.state,
            resolved=Resolved.model_validate(job.resolved),
            base=job.base and BaseResult.model_validate(job.base),
            baselines=baselines,
            verdict=job_verdict(modules, baselines),
            modules=modules,
            comparison=[_compare(ratio, modules) for ratio in sorted({m.ratio.requested for m in modules})],
            overlap=[Overlap.model_validate(overlap) for overlap in job.overlap],
            combination=job.combination and Combination.model_validate(job.combination),
        )

    def _job(self, job_id: str) -> JobRow:
        job = self.unit.jobs.find(job_id, self.owner)
        if job is None:
            raise NotFound(f"There is no job {job_id}.", hint="GET /v1/jobs (`microlith list`) lists yours.")
        return job

    def _show(self, job_id: str, rows: Sequence[ModuleRow]) -> list[Module]:
        """Modules of one job as they travel."""
        if not rows:
            return []
        class_f1 = self.unit.modules.class_f1(
            job_id, ratios={row.ratio for row in rows}, classes={row.concern_id for row in rows}
        )
        stored: dict[str, list[ArtifactRow]] = {row.id: [] for row in rows}
        for artifact in self.unit.artifacts.of_modules(stored):
            if artifact.asked and artifact.module_id:
                stored[artifact.module_id].append(artifact)
        modules = [
            Module(
                id=row.id,
                job_id=row.job_id,
                artifacts=artifacts.listed(stored[row.id]),
                others_own=OthersOwn(f1=_others_own(row, class_f1[row.ratio])),
                **row.facts,
            )
            for row in rows
        ]
        known = self.unit.jobs.baselines(job_id)
        baselines = known and Baselines.model_validate(known)
        return [module.model_copy(update={"verdict": module_verdict(module, baselines)}) for module in modules]


def _others_own(row: ModuleRow, class_f1: dict[int, dict[int, float]]) -> float | None:
    """Mean F1 on this row's class over the job's other modules at the same ratio, whose scores by class these are."""
    scores = [f1[row.concern_id] for concern_id, f1 in class_f1.items() if concern_id != row.concern_id]
    return fmean(scores) if scores else None


def _no_module(module_id: str) -> NotFound:
    return NotFound(f"There is no module {module_id}.", hint="GET /v1/jobs/{id}/modules lists a job's modules.")


def _compare(ratio: float, modules: Iterable[Module]) -> Comparison:
    chosen = [module for module in modules if module.ratio.requested == ratio]
    own, base = fmean(m.handed_out.f1 for m in chosen), fmean(m.base_own.f1 for m in chosen)
    return Comparison(ratio=ratio, concerns=len(chosen), own_f1=own, base_own_f1=base, change=own - base)
