"""Jobs in PostgreSQL. Times are the database's own, so that a worker's clock never decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, collate, func, literal_column, select, update
from sqlalchemy.orm import Session, aliased

from app.db.tables import JobRow, LabelRow
from app.domain.ids import first_id
from app.domain.states import HELD_STATES
from microlith.contract import TERMINAL_STATES, Kind, State

QUEUE_ORDER = (JobRow.priority.desc(), JobRow.queued_at, JobRow.id)
"""Who is next."""

QUEUED = JobRow.state == literal_column("'queued'")
LISTED = JobRow.kind != literal_column("'predict'")
EVERY = JobRow.id > literal_column("''")
"""As the partial indexes say it. (`now()` stands still in a transaction, so an index can be asked by it.)

The index of the whole list is for those alone who say EVERY, and lists are in an order, listed_id, that the primary key
does not have. Otherwise PostgreSQL would walk one of the two for any frequent value, past all that is newer: a frequent
state is frequent among the old.
"""

listed_id = collate(JobRow.id, "C")

NARROWED = ("state", "model", "dataset", "method")
"""Columns that a list is narrowed by, each with an index in the order of the list."""

JOINED = 4
"""How many of a caller's marks are joined."""

COUNTED = 1000
"""How far the queue is counted."""

SKEW = timedelta(minutes=1)
"""How far the time in an id may be from the row's: ids were once made by the server's clock, not the database's."""


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
        marks = (LabelRow(owner=row.owner, key=key, value=value, job_id=row.id) for key, value in row.labels.items())
        self.session.add_all(marks)

    def delete(self, row: JobRow) -> None:
        self.session.delete(row)

    def find(self, job_id: str, owner: str) -> JobRow | None:
        return self.session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.owner == owner))

    def baselines(self, job_id: str) -> Any:
        """What was measured of simple classifiers, without the base's own measures beside it."""
        return self.session.scalar(select(JobRow.base["baselines"]).where(JobRow.id == job_id))

    def state(self, job_id: str, owner: str) -> State | None:
        """How it is with a job, without the rest of it."""
        return self.session.scalar(select(JobRow.state).where(JobRow.id == job_id, JobRow.owner == owner))

    def lock(self, job_id: str, owner: str | None = None) -> JobRow | None:
        """The row, held against every other writer until the transaction ends."""
        query = select(JobRow).where(JobRow.id == job_id).with_for_update().execution_options(populate_existing=True)
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        return self.session.scalar(query)

    def lock_next(self, kinds: Iterable[Kind]) -> JobRow | None:
        """The first queued job of these kinds that nobody else is taking, locked."""
        queue = select(JobRow).where(QUEUED, JobRow.kind.in_(list(kinds))).order_by(*QUEUE_ORDER)
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

    def state_under(self, job_id: str, lease_token: str) -> State | None:
        """The state now, if this lease still holds the job."""
        held = (JobRow.id == job_id, JobRow.lease_token == lease_token, JobRow.state.in_(HELD_STATES))
        return self.session.scalar(select(JobRow.state).where(*held))

    def page(self, owner: str, job_filter: JobFilter, before: str | None, limit: int) -> Sequence[JobRow]:
        """Newest first, from just below the id `before`. Whatever it is narrowed to, an index has it in this order."""
        query = select(JobRow).where(JobRow.owner == owner, *_kind(job_filter), *_times(job_filter))
        if before is not None:
            query = query.where(listed_id < before)
        for column in NARROWED:
            value = getattr(job_filter, column)
            if value is not None:
                query = query.where(getattr(JobRow, column) == value)
        query = _labelled(query, owner, job_filter.labels, before)
        return self.session.scalars(query.limit(limit)).all()

    def ordered(self, owner: str, fingerprint: str) -> JobRow | None:
        """The newest job of this caller for the same order that is under way."""
        query = (
            select(JobRow)
            .where(JobRow.owner == owner, JobRow.fingerprint == fingerprint)
            .where(JobRow.state.in_(("queued", "running")))
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
        """1 is next; further than COUNTED nobody is told more than that. Jobs that are not queued are left out."""
        asked = list(job_ids)
        if not asked:
            return {}
        queue = select(JobRow.id).where(QUEUED).order_by(*QUEUE_ORDER).limit(COUNTED)
        front = self.session.scalar(select(func.array(queue.scalar_subquery()))) or []  # one value instead of many rows
        positions = {job_id: position for position, job_id in enumerate(front, 1)}
        behind = [job_id for job_id in asked if job_id not in positions] if len(front) == COUNTED else []
        if behind:
            waiting = self.session.scalars(select(JobRow.id).where(JobRow.id.in_(behind), QUEUED))
            positions |= dict.fromkeys(waiting, COUNTED)
        return {job_id: positions[job_id] for job_id in asked if job_id in positions}

    def lapsed(self, limit: int = 100) -> Sequence[str]:
        """Jobs whose worker has not renewed its lease in time, the longest silent first."""
        query = select(JobRow.id).where(JobRow.lease_token.is_not(None), JobRow.lease_expires_at < func.now())
        return self.session.scalars(query.order_by(JobRow.lease_expires_at).limit(limit)).all()

    def waiting(self, kind: Kind, seconds: float, limit: int = 100) -> Sequence[tuple[str, int]]:
        """Queued jobs, with their priority, that nobody has claimed for so long: the message may be lost."""
        query = (
            select(JobRow.id, JobRow.priority)
            .where(QUEUED, JobRow.kind == kind)
            .where(JobRow.queued_at < func.now() - timedelta(seconds=seconds))
            .order_by(*QUEUE_ORDER)
            .limit(limit)
        )
        return [(job_id, priority) for job_id, priority in self.session.execute(query)]

    def finished_before(self, days: float, kind: Kind, limit: int = 100) -> Sequence[str]:
        """Jobs of this kind that have been over for more than so many days, the oldest first."""
        before = func.now() - timedelta(days=days)
        query = select(JobRow.id).where(JobRow.kind == kind, JobRow.finished_at < before)
        query = query.where(JobRow.state.in_(TERMINAL_STATES))
        return self.session.scalars(query.order_by(JobRow.finished_at).limit(limit)).all()

    def overdue(self, limit: int = 100) -> Sequence[str]:
        """Queued jobs whose deadline has passed before anybody started them."""
        query = select(JobRow.id).where(QUEUED, JobRow.deadline_at < func.now())
        return self.session.scalars(query.order_by(JobRow.deadline_at).limit(limit)).all()


def _kind(job_filter: JobFilter) -> list[ColumnElement[bool]]:
    """Of the kind; of every kind that is listed."""
    if job_filter.kind == "predict":
        return [JobRow.kind == job_filter.kind]
    if job_filter.kind:
        return [JobRow.kind == job_filter.kind, LISTED]
    return [LISTED] if any(getattr(job_filter, column) for column in NARROWED) or job_filter.labels else [LISTED, EVERY]


def _times(job_filter: JobFilter) -> Iterator[ColumnElement[bool]]:
    """When a job was made, and what its id can be then: ids tell time, so the order of the list has these in a row."""
    if job_filter.created_after:
        yield JobRow.created_at > job_filter.created_after
        yield listed_id >= first_id("job", job_filter.created_after, -SKEW)
    if job_filter.created_before:
        yield JobRow.created_at < job_filter.created_before
        yield listed_id <= first_id("job", job_filter.created_before, SKEW)


def _labelled(query: Select[JobRow], owner: str, labels: Mapping[str, str], before: str | None) -> Select[JobRow]:
    """In the order of the list, read from the marks where there are any to match.

    PostgreSQL takes long to plan a join of many tables, so that only the first few marks are joined; the rest are
    looked up in the jobs that those leave.
    """
    if not labels:
        return query.order_by(listed_id.desc())
    joined, rest = list(labels.items())[:JOINED], dict(list(labels.items())[JOINED:])
    first, *others = (aliased(LabelRow) for _ in joined)
    marks = zip((first, *others), joined, strict=True)
    for mark, (key, value) in marks:
        query = query.join(mark, mark.job_id == JobRow.id).where(
            mark.owner == owner, mark.key == key, mark.value == value
        )
    if rest:
        query = query.where(JobRow.labels.contains(rest))
    if before is not None:
        query = query.where(collate(first.job_id, "C") < before)
    return query.order_by(collate(first.job_id, "C").desc())
