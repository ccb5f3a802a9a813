"""Events in PostgreSQL: numbered by their job's own counter, announced to listeners when the transaction commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import EventRow, JobRow
from app.domain.ids import new_id

CHANNEL = "microlith_jobs"
"""PostgreSQL notification channel; the payload is the job's id."""


class EventStore:
    """All SQL about events."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def append(self, job: JobRow, kind: str, data: dict[str, Any], at: datetime) -> None:
        """Add the next line of a job's history. The caller holds the row's lock, so numbers have no gaps."""
        job.last_seq += 1
        self.session.add(
            EventRow(id=new_id("evt"), job_id=job.id, seq=job.last_seq, type=kind, data=data, created_at=at)
        )
        self.announce(job.id)

    def count_requeued(self, job_id: str, reason: str) -> int:
        """How often the job went back to the queue for this reason, since a caller last asked for it."""
        asked = select(func.max(EventRow.seq)).where(EventRow.job_id == job_id, EventRow.type == "job.queued")
        query = select(func.count()).where(
            EventRow.job_id == job_id,
            EventRow.type == "job.requeued",
            EventRow.data["reason"].astext == reason,
            EventRow.seq > asked.scalar_subquery(),
        )
        return self.session.scalars(query).one()

    def announce(self, job_id: str) -> None:
        """Wake everyone who watches this job, once the transaction commits."""
        self.session.execute(select(func.pg_notify(CHANNEL, job_id)))

    def after(self, job_id: str, seq: int, limit: int) -> Sequence[EventRow]:
        query = select(EventRow).where(EventRow.job_id == job_id, EventRow.seq > seq).order_by(EventRow.seq)
        return self.session.scalars(query.limit(limit)).all()

    def milestones(self, job_id: str, limit: int) -> Sequence[EventRow]:
        """The newest events but those of mere progress, in their order."""
        query = select(EventRow).where(EventRow.job_id == job_id, EventRow.type != "job.progress")
        return self.session.scalars(query.order_by(EventRow.seq.desc()).limit(limit)).all()[::-1]
