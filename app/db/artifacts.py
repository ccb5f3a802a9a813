"""Artifacts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from app.db.tables import ArtifactRow, JobRow, ModuleRow


class ArtifactStore:
    """All SQL about artifacts."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: ArtifactRow) -> None:
        self.session.add(row)

    def of_modules(self, module_ids: Iterable[str]) -> Sequence[ArtifactRow]:
        query = select(ArtifactRow).where(ArtifactRow.module_id.in_(list(module_ids)))
        return self.session.scalars(query.order_by(ArtifactRow.id)).all()

    def find(self, artifact_id: str, owner: str) -> ArtifactRow | None:
        query = (
            select(ArtifactRow)
            .join(ModuleRow, ArtifactRow.module_id == ModuleRow.id)
            .join(JobRow, ModuleRow.job_id == JobRow.id)
            .where(ArtifactRow.id == artifact_id, JobRow.owner == owner)
        )
        return self.session.scalar(query)

    def keys_of_job_alone(self, job_id: str) -> set[str]:
        """Keys of the job's artifacts that no artifact of another job names."""
        elsewhere = aliased(ArtifactRow)
        shared = (
            select(elsewhere.id)
            .join(ModuleRow, elsewhere.module_id == ModuleRow.id)
            .where(elsewhere.key == ArtifactRow.key, ModuleRow.job_id != job_id)
        )
        own_modules = select(ModuleRow.id).where(ModuleRow.job_id == job_id)
        query = select(ArtifactRow.key).where(ArtifactRow.module_id.in_(own_modules), ~shared.exists())
        return set(self.session.scalars(query))
