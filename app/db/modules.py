"""Modules in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.orm import Session

from app.db.tables import JobRow, ModuleRow

CLASS_F1 = cast("$.report.classes[*].f1", JSONPATH)


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

    def page(self, job_id: str, after: str | None, limit: int) -> Sequence[ModuleRow]:
        """Some of them, in the same order, behind the one with the id `after`."""
        place = tuple_(ModuleRow.ratio, ModuleRow.concern_id)
        query = select(ModuleRow).where(ModuleRow.job_id == job_id)
        if after is not None:
            last = select(ModuleRow.ratio, ModuleRow.concern_id).where(ModuleRow.id == after)
            query = query.where(place > last.where(ModuleRow.job_id == job_id).scalar_subquery())
        return self.session.scalars(query.order_by(ModuleRow.ratio, ModuleRow.concern_id).limit(limit)).all()

    def class_f1(self, job_id: str) -> dict[float, dict[int, list[float]]]:
        """By ratio and concern, the F1 of each class, of all modules of the job: without the rest of their facts."""
        scores = func.jsonb_path_query_array(ModuleRow.facts, CLASS_F1)
        query = select(ModuleRow.ratio, ModuleRow.concern_id, scores).where(ModuleRow.job_id == job_id)
        found: dict[float, dict[int, list[float]]] = {}
        for ratio, concern_id, f1 in self.session.execute(query.order_by(ModuleRow.ratio, ModuleRow.concern_id)):
            found.setdefault(ratio, {})[concern_id] = f1
        return found

    def jobs_of(self, module_ids: Iterable[str], owner: str) -> dict[str, str]:
        """The job of each of these modules that is there."""
        wanted = (ModuleRow.id.in_(list(module_ids)), JobRow.owner == owner)
        rows = self.session.execute(select(ModuleRow.id, ModuleRow.job_id).join(JobRow).where(*wanted))
        return {row.id: row.job_id for row in rows}

    def find(self, module_id: str, owner: str) -> ModuleRow | None:
        query = select(ModuleRow).join(JobRow).where(ModuleRow.id == module_id, JobRow.owner == owner)
        return self.session.scalar(query)
