"""Artifacts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, union_all
from sqlalchemy.orm import Session

from app.db.tables import ArtifactRow, JobRow, ModuleRow

OF_JOB = func.coalesce(ArtifactRow.job_id, ModuleRow.job_id)
"""Whose artifact it is, itself or through its module."""


class ArtifactStore:
    """All SQL about artifacts."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: ArtifactRow) -> None:
        self.session.add(row)

    def delete(self, artifact_id: str) -> None:
        self.session.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact_id))

    def of_modules(self, module_ids: Iterable[str]) -> Sequence[ArtifactRow]:
        query = select(ArtifactRow).where(ArtifactRow.module_id.in_(list(module_ids)))
        return self.session.scalars(query.order_by(ArtifactRow.id)).all()

    def of_job(self, job_id: str) -> Sequence[ArtifactRow]:
        """The job's own; those of its modules are theirs."""
        return self.of_jobs([job_id])

    def of_jobs(self, job_ids: Iterable[str]) -> Sequence[ArtifactRow]:
        """The jobs' own."""
        query = select(ArtifactRow).where(ArtifactRow.job_id.in_(list(job_ids)))
        return self.session.scalars(query.order_by(ArtifactRow.id)).all()

    def find(self, artifact_id: str, owner: str) -> ArtifactRow | None:
        query = (
            select(ArtifactRow)
            .outerjoin(ModuleRow, ArtifactRow.module_id == ModuleRow.id)
            .join(JobRow, JobRow.id == OF_JOB)
            .where(ArtifactRow.id == artifact_id, JobRow.owner == owner, ArtifactRow.asked)
        )
        return self.session.scalar(query)

    def keys_of_job(self, job_id: str) -> set[str]:
        """Keys of the job's objects, its modules' among them."""
        own = select(ArtifactRow.key).where(ArtifactRow.job_id == job_id)
        modules = select(ArtifactRow.key).join(ModuleRow).where(ModuleRow.job_id == job_id)
        return set(self.session.scalars(union_all(own, modules)))

    def named(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that an artifact names."""
        return set(self.session.scalars(select(ArtifactRow.key).where(ArtifactRow.key.in_(list(keys)))))
