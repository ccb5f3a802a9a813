"""Uploads in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import JobRow, SourceRow, UploadRow


class UploadStore:
    """All SQL about uploads."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: UploadRow) -> None:
        self.session.add(row)
        self.session.flush()

    def delete(self, row: UploadRow) -> None:
        self.session.delete(row)
        self.session.flush()

    def find(self, upload_id: str, owner: str) -> UploadRow | None:
        return self.session.scalar(select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner))

    def lock(self, upload_id: str, owner: str) -> UploadRow | None:
        """The row, held against every other writer until the transaction ends."""
        query = select(UploadRow).where(UploadRow.id == upload_id, UploadRow.owner == owner)
        return self.session.scalar(query.with_for_update().execution_options(populate_existing=True))

    def same(self, owner: str, kind: str, sha256: str) -> Sequence[UploadRow]:
        """The caller's complete uploads of this kind and content, newest first."""
        query = select(UploadRow).where(UploadRow.owner == owner, UploadRow.kind == kind, UploadRow.sha256 == sha256)
        return self.session.scalars(query.where(UploadRow.key.is_not(None)).order_by(UploadRow.id.desc())).all()

    def of_ids(self, upload_ids: Iterable[str]) -> dict[str, UploadRow]:
        rows = self.session.scalars(select(UploadRow).where(UploadRow.id.in_(list(upload_ids))))
        return {row.id: row for row in rows}

    def page(self, owner: str, before: str | None, limit: int) -> Sequence[UploadRow]:
        """Newest first, from just below the id `before`."""
        query = select(UploadRow).where(UploadRow.owner == owner)
        if before is not None:
            query = query.where(UploadRow.id < before)
        return self.session.scalars(query.order_by(UploadRow.id.desc()).limit(limit)).all()

    def named(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that an upload names, as where it arrives or where it is kept."""
        key_list = list(keys)
        query = select(UploadRow.staged, UploadRow.key).where(
            UploadRow.staged.in_(key_list) | UploadRow.key.in_(key_list)
        )
        return {key for row in self.session.execute(query) for key in row if key}

    def unused(self, hours: float, limit: int = 100) -> Sequence[UploadRow]:
        """Uploads begun so long ago that nothing references, locked: neither a registered source nor a job.

        Rows that somebody else is working on are left out.
        """
        in_source = select(SourceRow.id).where(SourceRow.upload_id == UploadRow.id)
        in_job = select(JobRow.id).where(
            JobRow.owner == UploadRow.owner, JobRow.spec[("sampling", "boundary", "ref")].astext == UploadRow.id
        )
        query = select(UploadRow).where(
            UploadRow.created_at < func.clock_timestamp() - timedelta(hours=hours),
            ~in_source.exists(),
            ~((UploadRow.kind == "boundary") & in_job.exists()),
        )
        return self.session.scalars(query.order_by(UploadRow.id).limit(limit).with_for_update(skip_locked=True)).all()
