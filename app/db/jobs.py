"""Jobs in PostgreSQL. Times are the database's own, so that a worker's clock never decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.tables import JobRow
from app.domain.states import HELD_STATES
from microlith.contract import TERMINAL_STATES, Kind, State

QUEUE_ORDER = (JobRow.priority.desc(), JobRow.queued_at, JobRow.id)
"""Who is next."""


@dataclass(frozen=True)
class JobFilter:
    """What a list of jobs is narrowed to; None and empty set no limit, but tries are listed only when asked for."""

    kind: Kind | None = None
    state: str | None = None
    model: str | None = None
    dataset: str | None = None
    method: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None


class JobStore:
    """All SQL about jobs."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def now(self) -> datetime:
        """The database's time."""
        time: datetime = self.session.scalars(select(func.clock_timestamp())).one()
        return time

    def add(self, row: JobRow) -> None:
        self.session.add(row)
        self.session.flush()

    def delete(self, row: JobRow) -> None:
        self.session.delete(row)

    def find(self, job_id: str, owner: str) -> JobRow | None:
        return self.session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.owner == owner))

    def lock(self, job_id: str, owner: str | None = None) -> JobRow | None:
        """The row, held against every other writer until the transaction ends."""
        query = select(JobRow).where(JobRow.id == job_id).with_for_update().execution_options(populate_existing=True)
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        return self.session.scalar(query)

    def lock_next(self, kinds: Iterable[Kind]) -> JobRow | None:
        """The first queued job of these kinds that nobody else is taking, locked."""
        queue = select(JobRow).where(JobRow.state == "queued", JobRow.kind.in_(list(kinds))).order_by(*QUEUE_ORDER)
        return self.session.scalar(queue.limit(1).with_for_update(skip_locked=True))

    def held(self, job_id: str, lease_token: str) -> JobRow | None:
        """The locked row if this lease still holds it: what guards every write of an attempt."""
        row = self.lock(job_id)
        return row if row and row.lease_token == lease_token and row.state in HELD_STATES else None

    def renew(self, job_id: str, lease_token: str, seconds: float) -> State | None:
        """Push the lease's end into the future; the state now, or None when the lease is lost."""
        renewal = (
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.lease_token == lease_token, JobRow.state.in_(HELD_STATES))
            .values(lease_expires_at=func.clock_timestamp() + timedelta(seconds=seconds))
            .returning(JobRow.state)
        )
        return self.session.scalar(renewal)

    def page(self, owner: str, wanted: JobFilter, before: str | None, limit: int) -> Sequence[JobRow]:
        """Newest first, from just below the id `before`."""
        query = select(JobRow).where(JobRow.owner == owner)
        query = query.where(JobRow.kind == wanted.kind if wanted.kind else JobRow.kind != "predict")
        if before is not None:
            query = query.where(JobRow.id < before)
        for column in ("state", "model", "dataset", "method"):
            value = getattr(wanted, column)
            if value is not None:
                query = query.where(getattr(JobRow, column) == value)
        if wanted.labels:
            query = query.where(JobRow.labels.contains(wanted.labels))
        if wanted.created_after:
            query = query.where(JobRow.created_at > wanted.created_after)
        if wanted.created_before:
            query = query.where(JobRow.created_at < wanted.created_before)
        return self.session.scalars(query.order_by(JobRow.id.desc()).limit(limit)).all()

    def ordered(self, owner: str, fingerprint: str) -> JobRow | None:
        """The newest job of this caller for the same order that is under way, or done well."""
        query = (
            select(JobRow)
            .where(JobRow.owner == owner, JobRow.fingerprint == fingerprint)
            .where(JobRow.state.in_(("queued", "running", "succeeded")))
            .order_by(JobRow.id.desc())
            .limit(1)
        )
        return self.session.scalar(query)

    def reusable(self, owner: str, fingerprint: str) -> JobRow | None:
        """The newest finished job of this caller that answers the same question."""
        query = (
            select(JobRow)
            .where(JobRow.owner == owner, JobRow.fingerprint == fingerprint, JobRow.state == "succeeded")
            .order_by(JobRow.id.desc())
            .limit(1)
        )
        return self.session.scalar(query)

    def queue_positions(self, job_ids: Iterable[str]) -> dict[str, int]:
        """1 is next; jobs that are not queued are left out."""
        queue = (
            select(JobRow.id, func.row_number().over(order_by=QUEUE_ORDER).label("position"))
            .where(JobRow.state == "queued")
            .subquery()
        )
        rows = self.session.execute(select(queue.c.id, queue.c.position).where(queue.c.id.in_(list(job_ids))))
        return {row.id: row.position for row in rows}

    def lapsed(self, limit: int = 100) -> Sequence[str]:
        """Jobs whose worker has not renewed its lease in time, the longest silent first."""
        query = select(JobRow.id).where(
            JobRow.lease_token.is_not(None), JobRow.lease_expires_at < func.clock_timestamp()
        )
        return self.session.scalars(query.order_by(JobRow.lease_expires_at).limit(limit)).all()

    def waiting(self, kind: Kind, seconds: float, limit: int = 100) -> Sequence[tuple[str, int]]:
        """Queued jobs, with their priority, that nobody has claimed for so long: the message may be lost."""
        query = (
            select(JobRow.id, JobRow.priority)
            .where(JobRow.state == "queued", JobRow.kind == kind)
            .where(JobRow.queued_at < func.clock_timestamp() - timedelta(seconds=seconds))
            .order_by(*QUEUE_ORDER)
            .limit(limit)
        )
        return [(job_id, priority) for job_id, priority in self.session.execute(query)]

    def finished_before(self, days: float, kind: Kind, limit: int = 100) -> Sequence[str]:
        """Jobs of this kind that have been over for more than so many days, the oldest first."""
        before = func.clock_timestamp() - timedelta(days=days)
        query = select(JobRow.id).where(JobRow.kind == kind, JobRow.finished_at < before)
        query = query.where(JobRow.state.in_(TERMINAL_STATES))
        return self.session.scalars(query.order_by(JobRow.finished_at).limit(limit)).all()

    def overdue(self, limit: int = 100) -> Sequence[str]:
        """Queued jobs whose deadline has passed before anybody started them."""
        query = select(JobRow.id).where(JobRow.state == "queued", JobRow.deadline_at < func.clock_timestamp())
        return self.session.scalars(query.limit(limit)).all()
