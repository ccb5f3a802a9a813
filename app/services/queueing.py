"""How a job comes to wait: a row in state `queued`, its first event, and the doorbell once both are committed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.db.tables import JobRow
from app.db.unit import Unit
from app.domain.ids import new_id
from app.queue import PRIORITIES
from app.services.backend import Backend
from microlith.contract import CombineSpec, JobSpec, Kind, LayoutOrder, PredictionOrder, Progress, Resolved


@dataclass(frozen=True)
class Draft:
    """A job before it has an id; `fingerprint` tells what would be the same job again."""

    kind: Kind
    spec: JobSpec
    resolved: Resolved
    fingerprint: str
    concerns: int
    order: LayoutOrder | CombineSpec | PredictionOrder | None = None


def queue(unit: Unit, owner: str, backend: Backend, draft: Draft) -> JobRow:
    """The row of a new job that waits from now on."""
    spec, now = draft.spec, unit.jobs.now()
    job = JobRow(
        id=new_id("job", now),
        owner=owner,
        kind=draft.kind,
        state="queued",
        spec=spec.model_dump(mode="json"),
        order=draft.order and draft.order.model_dump(mode="json"),
        fingerprint=draft.fingerprint,
        model=spec.model,
        dataset=spec.source.ref,
        method=spec.method.name,
        labels=spec.labels,
        priority=PRIORITIES[spec.priority],
        progress=Progress().model_dump(),
        concerns_total=draft.concerns,
        resolved=draft.resolved.model_dump(),
        overlap=[],
        timings={},
        last_seq=0,
        created_at=now,
        queued_at=now,
        deadline_at=deadline(spec, now),
    )
    unit.jobs.add(job)
    unit.events.append(job, "job.queued", {}, now)
    ring(unit, job, backend)
    return job


def deadline(spec: JobSpec, since: datetime) -> datetime | None:
    """When a job that waits `since` then must be done."""
    return since + timedelta(seconds=spec.deadline_seconds) if spec.deadline_seconds else None


def ring(unit: Unit, job: JobRow, backend: Backend) -> None:
    """Tell the workers of the job once the transaction is committed."""
    unit.after_commit(lambda: backend.queue.enqueue(job.id, job.priority, job.kind))
