"""Modules in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import JobRow, ModuleRow


class ModuleStore:
    """All SQL about modules."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: ModuleRow) -> None:
        self.session.add(row)
        self.session.flush()

    def made(self, job_id: str, concern_id: int, ratio: float) -> ModuleRow | None:
        """The job's module of this concern at this ratio."""
        query = select(ModuleRow).where(
            ModuleRow.job_id == job_id, ModuleRow.concern_id == concern_id, ModuleRow.ratio == ratio
        )
        return self.session.scalar(query)

    def lock(self, module_id: str) -> ModuleRow | None:
        """The row, kept from being deleted until the transaction ends."""
        return self.session.scalar(select(ModuleRow).where(ModuleRow.id == module_id).with_for_update(read=True))

    def of_job(self, job_id: str) -> Sequence[ModuleRow]:
        """By ratio as asked, then by concern."""
        query = select(ModuleRow).where(ModuleRow.job_id == job_id)
        return self.session.scalars(query.order_by(ModuleRow.ratio, ModuleRow.concern_id)).all()

    def find(self, module_id: str, owner: str) -> ModuleRow | None:
        query = select(ModuleRow).join(JobRow).where(ModuleRow.id == module_id, JobRow.owner == owner)
        return self.session.scalar(query)
