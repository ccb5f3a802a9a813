"""Shards in PostgreSQL: of a job that several workers make, which of them makes the modules of a concern."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from app.db.tables import ShardRow

FREE = or_(ShardRow.holder.is_(None), ShardRow.held_until < func.clock_timestamp())
"""Nobody took it yet, or whoever did has given it back, or is gone."""


class ShardStore:
    """All SQL about shards of an attempt, which its lease token names. Who takes or finishes one has its job locked."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def open(self, job_id: str, token: str, concerns: Sequence[int]) -> None:
        """One free shard for each concern, in the place of those of earlier attempts."""
        self.close(job_id)
        self.session.add_all(ShardRow(job_id=job_id, concern_id=concern, token=token) for concern in concerns)

    def close(self, job_id: str) -> None:
        """The job has none any more."""
        self.session.execute(delete(ShardRow).where(ShardRow.job_id == job_id))

    def take(self, job_id: str, token: str, holder: str, seconds: float | None) -> int | None:
        """The concern of the first shard that is free, or the holder's own and not finished; None for none.

        It is held for so many seconds, or as long as the lease itself.
        """
        open_to = or_(ShardRow.holder == holder, FREE)
        query = select(ShardRow.concern_id).where(*_of(job_id, token), ~ShardRow.finished, open_to)
        concern = self.session.scalar(query.order_by(ShardRow.concern_id).limit(1))
        if concern is not None:
            taken = update(ShardRow).where(*_of(job_id, token), ShardRow.concern_id == concern)
            self.session.execute(taken.values(holder=holder, held_until=_from_now(seconds)))
        return concern

    def finish(self, job_id: str, token: str, concern: int) -> None:
        """Nobody need take it any more."""
        done = update(ShardRow).where(*_of(job_id, token), ShardRow.concern_id == concern)
        self.session.execute(done.values(finished=True))

    def unfinished(self, job_id: str, token: str) -> Sequence[int]:
        """The concerns whose modules are not all made."""
        return self.session.scalars(select(ShardRow.concern_id).where(*_of(job_id, token), ~ShardRow.finished)).all()

    def renew(self, job_id: str, holder: str, seconds: float) -> None:
        """Push the end of what the holder has into the future."""
        held = update(ShardRow).where(ShardRow.job_id == job_id, ShardRow.holder == holder)
        self.session.execute(held.values(held_until=_from_now(seconds)))

    def give_back(self, job_id: str, holder: str) -> None:
        """What the holder has is free again."""
        held = update(ShardRow).where(ShardRow.job_id == job_id, ShardRow.holder == holder)
        self.session.execute(held.values(holder=None, held_until=None))


def _of(job_id: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return (ShardRow.job_id == job_id, ShardRow.token == token)


def _from_now(seconds: float | None) -> ColumnElement[datetime] | None:
    return None if seconds is None else func.clock_timestamp() + timedelta(seconds=seconds)
