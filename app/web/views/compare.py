"""Modules of any jobs beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.web.views import phrases
from app.web.views.chart_csv import Sheet
from app.web.views.charts import Curve, Curves
from app.web.views.results import ResultsTable, results_table
from microlith.contract import Job, Module

MAX_COMPARED = 100


@dataclass(frozen=True)
class Offer:
    """A job and its modules, each with whether it is chosen."""

    job: Job
    title: str
    request: str
    modules: list[tuple[Module, bool]]

    @property
    def chosen(self) -> int:
        return sum(chosen for _, chosen in self.modules)


@dataclass(frozen=True)
class ComparedModule:
    """A chosen module and the job it is of."""

    module: Module
    job: Job
    title: str


@dataclass(frozen=True)
class ComparePage:
    """What is offered, and what was chosen; `table` has its lines in the order of `chosen`."""

    offers: list[Offer]
    chosen: list[ComparedModule]
    table: ResultsTable | None
    curves: Curves | None

    @property
    def sheet(self) -> Sheet | None:
        """The table's figures, with the job and the method of each line."""
        if self.table is None:
            return None
        known = self.table.sheet
        facts = [[one.job.id, one.module.id, one.module.method, one.module.structure] for one in self.chosen]
        rows = [[*left, *right] for left, right in zip(facts, known.rows, strict=True)]
        return Sheet(["job", "module", "method", "structure", *known.columns], rows)


def compare_page(jobs: Sequence[tuple[Job, Sequence[Module]]], ids: Sequence[str]) -> ComparePage:
    """`jobs` are jobs with their modules, those of the chosen among them."""
    chosen_ids = list(dict.fromkeys(ids))[:MAX_COMPARED]
    offers = [
        Offer(job, phrases.title(job), phrases.request(job), [(module, module.id in chosen_ids) for module in modules])
        for job, modules in jobs
        if modules
    ]
    known = {module.id: ComparedModule(module, job, phrases.title(job)) for job, modules in jobs for module in modules}
    chosen = [known[module_id] for module_id in chosen_ids if module_id in known]
    table = results_table([one.module for one in chosen]) if chosen else None
    return ComparePage(offers, chosen, table, _curves(chosen))


def _curves(chosen: Sequence[ComparedModule]) -> Curves | None:
    """A curve for each concern, method and job that comes at several ratios."""
    ratios = sorted({one.module.ratio.requested for one in chosen})
    if len(ratios) < 2:
        return None
    lines: dict[str, dict[float, float]] = {}
    jobs = {one.job.id for one in chosen}
    for one in chosen:
        module = one.module
        job = f", {module.job_id[-4:]}" if len(jobs) > 1 else ""
        name = f"{module.concern.label}, {module.method} {module.structure}{job}"
        lines.setdefault(name, {})[module.ratio.requested] = module.handed_out.f1
    curves = [Curve(name, [values.get(ratio) for ratio in ratios]) for name, values in lines.items()]
    base = sum(one.module.base_own.f1 for one in chosen) / len(chosen)
    says = f"F1 on the own class of {phrases.count(len(chosen), 'module')}, at {phrases.count(len(ratios), 'ratio')}."
    return Curves(ratios, curves, base, says)
