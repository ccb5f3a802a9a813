"""A job: where it is, what it made, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from app.domain.states import TRANSITIONS, Action
from app.web.views import phrases
from app.web.views.combination import CombinationTable, combination_table
from app.web.views.files import File, OpeningLines, files_of, openings
from app.web.views.report import ReportView, View, report
from microlith.contract import CombineSpec, DatasetFacts, Event, Job, ModelFacts, Module, Phase, Results
from microlith.display import numbers

ACTIONS: tuple[Action, ...] = ("cancel", "retry", "repair")
PHASES: tuple[str, ...] = get_args(Phase)


@dataclass(frozen=True)
class PhaseStep:
    """A phase: `done`, `now` or `todo`, and how long it took so far."""

    name: str
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Chip:
    """A concern and those of its modules that are ready, out of as many as there are ratios."""

    label: str
    ready: int
    wanted: int
    module_id: str | None
    change: float | None

    @property
    def tone(self) -> str:
        return "same" if self.change is None else phrases.tone(self.change)


@dataclass(frozen=True)
class LogLine:
    """A line of the log."""

    seq: int
    at: datetime
    text: str


@dataclass(frozen=True)
class JobPage:
    """Everything a job's page shows; what is not there yet is None or empty."""

    job: Job
    title: str
    request: str
    mark: str
    took: str | None
    actions: list[Action]
    steps: list[PhaseStep]
    chips: list[Chip]
    log: list[LogLine]
    facts: list[tuple[str, str]]
    spec: str
    report: ReportView | None
    combination: CombinationTable | None
    files: list[File]
    openings: list[OpeningLines]
    others: int
    origin: tuple[str, str] | None

    @property
    def live(self) -> bool:
        return not self.job.finished

    @property
    def percent(self) -> float:
        return 100.0 if self.job.state == "succeeded" else self.job.progress.percent

    @property
    def left(self) -> str | None:
        """How long it may take still."""
        seconds = self.job.progress.eta_seconds
        return numbers.duration(round(seconds)) if seconds and self.live else None


def job_page(job: Job, results: Results, events: Sequence[Event], view: View) -> JobPage:
    """Everything the page of a job shows: how far it is, and what there is of its results so far."""
    report_view = report(results, view)
    files = files_of(report_view.modules if report_view else [], job)
    return JobPage(
        job=job,
        title=phrases.title(job),
        request=phrases.request(job),
        mark=phrases.STATE_MARKS[job.state],
        took=phrases.took(job),
        actions=[action for action in ACTIONS if (job.state, action) in TRANSITIONS],
        steps=_steps(job),
        chips=_chips(job, results.modules),
        log=[LogLine(event.seq, event.created_at, _describe_event(event)) for event in events],
        facts=_facts(job),
        spec=json.dumps((job.order or job.spec).model_dump(mode="json"), indent=2, ensure_ascii=False),
        report=report_view,
        combination=combination_table(results.combination) if results.combination else None,
        files=files,
        openings=openings(files, job),
        others=len(files_of(results.modules, job)) - len(files),
        origin=phrases.origin(job),
    )


def _steps(job: Job) -> list[PhaseStep]:
    """Phases that a finished job never came to stay to do."""
    phases = [name for name in PHASES if name != "distilling" or job.spec.recovery == "distil"]
    now = phases.index(job.phase) if job.phase and not job.finished else None
    steps = []
    for number, name in enumerate(phases):
        done = name in job.timings if now is None else number < now
        steps.append(PhaseStep(name, "now" if number == now else "done" if done else "todo", job.timings.get(name)))
    return steps


def _chips(job: Job, modules: Sequence[Module]) -> list[Chip]:
    if job.kind != "decompose":
        return []
    made: dict[str, list[Module]] = {}
    for module in modules:
        made.setdefault(module.concern.label, []).append(module)
    chips = []
    for label in _concerns(job) or list(made):
        ready = made.get(label, [])
        first = ready[0] if ready else None
        change = first.handed_out.f1 - first.base_own.f1 if first else None
        chips.append(Chip(label, len(ready), len(job.spec.ratios), first.id if first else None, change))
    return chips


def _concerns(job: Job) -> list[str]:
    """The labels of the concerns that were asked for, as far as they are known yet."""
    known = job.resolved.model.labels if job.resolved.model else []
    if job.spec.concerns == "all":
        return known
    asked = [known[c] if isinstance(c, int) and c < len(known) else str(c) for c in job.spec.concerns]
    return [label for label in known if label in asked] or asked


def _describe_event(event: Event) -> str:
    """An event as a sentence."""
    data, kind = event.data, event.type
    sentences = {
        "job.queued": "Queued",
        "job.running": f"Claimed by a worker, attempt {data.get('attempt', 1)}",
        "job.phase": f"{str(data.get('phase', '')).capitalize()}",
        "job.requeued": f"Queued again: {data.get('reason', 'handed back')}",
        "job.cancelling": "Cancelling",
        "job.succeeded": "Done",
        "job.failed": f"Failed: {data.get('message') or data.get('code') or 'no reason was given'}",
        "job.cancelled": "Cancelled",
        "job.expired": "Expired: no worker was free before its deadline",
        "artifact.ready": f"File ready: {data.get('layout', 'artifact')}",
    }
    if kind in ("module.ready", "module.estimated"):
        return _describe_module(data)
    return sentences.get(kind, kind)


def _describe_module(data: dict[str, Any]) -> str:
    concern = data.get("concern")
    label = concern.get("label") if isinstance(concern, dict) else concern
    ratio = data.get("ratio")
    at = f" at ratio {ratio:g}" if isinstance(ratio, int | float) else ""
    name = f"{label if label is not None else data.get('module_id', '')}{at}"
    if "f1_interval" not in data:
        return f"Module ready: {name}"
    low, high = data["f1_interval"]
    return f"First estimate of {name}: F1 {data['f1']:.2f}, between {low:.2f} and {high:.2f}"


def _facts(job: Job) -> list[tuple[str, str]]:
    """What the request came to, as far as it is known; names as the specification has them."""
    model, data, spec = job.resolved.model, job.resolved.dataset, job.spec
    sampled = f"{spec.sampling.per_concern} of the concern and as many of the rest, from {spec.sampling.split}"
    facts: dict[str, str | None] = {
        "Model": _source(spec.model, model),
        "Architecture": model.architecture if model else None,
        "Dataset": _source(spec.source.ref, data),
        "Examples": ", ".join(f"{name} {rows:,}" for name, rows in data.rows.items()) if data else None,
    }
    if not isinstance(job.order, CombineSpec):
        facts |= {"Samples": sampled, "Layers": phrases.count(len(job.resolved.layers), "layer")}
        facts["Recovery"] = spec.recovery if spec.recovery != "none" else None
    facts |= {
        "Seed": str(job.resolved.seed) if job.resolved.seed is not None else None,
        "Device": job.resolved.device,
        "Attempts": str(job.attempts) if job.attempts > 1 else None,
        "Made": phrases.moment(job.created_at),
        "Kept until": phrases.moment(job.expires_at) if job.expires_at else None,
    }
    return [(name, value) for name, value in facts.items() if value]


def _source(ref: str, source: ModelFacts | DatasetFacts | None) -> str:
    """The reference with what people call it, and the commit that it stood for."""
    name = numbers.source_name(ref, source)
    commit = f" @ {source.revision[:12]}" if source and source.revision else ""
    return f"{ref}{commit}" if name == ref else f"{name}, {ref}"
