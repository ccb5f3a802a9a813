"""Modules in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONPATH
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

    def page(self, job_id: str, after: str | None, limit: int) -> Sequence[ModuleRow]:
        """Some of them, in the same order, behind the one with the id `after`."""
        order = tuple_(ModuleRow.ratio, ModuleRow.concern_id)
        query = select(ModuleRow).where(ModuleRow.job_id == job_id)
        if after is not None:
            last = select(ModuleRow.ratio, ModuleRow.concern_id).where(ModuleRow.id == after)
            query = query.where(order > last.where(ModuleRow.job_id == job_id).scalar_subquery())
        return self.session.scalars(query.order_by(ModuleRow.ratio, ModuleRow.concern_id).limit(limit)).all()

    def class_f1(
        self, job_id: str, ratios: Collection[float], classes: Collection[int]
    ) -> dict[float, dict[int, dict[int, float]]]:
        """By ratio and concern, the F1 on each of these classes, of all modules of the job at these ratios."""
        numbers = sorted(classes)
        path = f"$.report.classes[{','.join(map(str, numbers))}].f1"
        scores = func.jsonb_path_query_array(ModuleRow.facts, cast(path, JSONPATH))
        query = select(ModuleRow.ratio, ModuleRow.concern_id, scores)
        query = query.where(ModuleRow.job_id == job_id, ModuleRow.ratio.in_(ratios))
        by_ratio: dict[float, dict[int, dict[int, float]]] = {}
        for ratio, concern_id, f1 in self.session.execute(query.order_by(ModuleRow.ratio, ModuleRow.concern_id)):
            by_ratio.setdefault(ratio, {})[concern_id] = dict(zip(numbers, f1, strict=True))
        return by_ratio

    def jobs_of(self, module_ids: Iterable[str], owner: str) -> dict[str, str]:
        """The job of each of these modules that is there."""
        query = select(ModuleRow.id, ModuleRow.job_id).join(JobRow)
        rows = self.session.execute(query.where(ModuleRow.id.in_(list(module_ids)), JobRow.owner == owner))
        return {row.id: row.job_id for row in rows}

    def find(self, module_id: str, owner: str) -> ModuleRow | None:
        query = select(ModuleRow).join(JobRow).where(ModuleRow.id == module_id, JobRow.owner == owner)
        return self.session.scalar(query)
