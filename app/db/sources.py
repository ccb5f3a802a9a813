"""Registered models and datasets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import SourceRow


class SourceStore:
    """All SQL about registered sources."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, row: SourceRow) -> None:
        self.session.add(row)
        self.session.flush()

    def delete(self, row: SourceRow) -> None:
        self.session.delete(row)
        self.session.flush()

    def find(self, source_id: str, owner: str, kind: str) -> SourceRow | None:
        query = select(SourceRow).where(SourceRow.id == source_id, SourceRow.owner == owner, SourceRow.kind == kind)
        return self.session.scalar(query)

    def of_ids(self, source_ids: Iterable[str], owner: str) -> Sequence[SourceRow]:
        query = select(SourceRow).where(SourceRow.id.in_(list(source_ids)), SourceRow.owner == owner)
        return self.session.scalars(query).all()

    def of_upload(self, upload_id: str) -> Sequence[SourceRow]:
        return self.session.scalars(select(SourceRow).where(SourceRow.upload_id == upload_id)).all()

    def of_hub(self, hub: str, owner: str, kind: str) -> Sequence[SourceRow]:
        query = select(SourceRow).where(SourceRow.hub == hub, SourceRow.owner == owner, SourceRow.kind == kind)
        return self.session.scalars(query).all()

    def page(self, owner: str, kind: str, before: str | None, limit: int) -> Sequence[SourceRow]:
        """Newest first, from just below the id `before`."""
        query = select(SourceRow).where(SourceRow.owner == owner, SourceRow.kind == kind)
        if before is not None:
            query = query.where(SourceRow.id < before)
        return self.session.scalars(query.order_by(SourceRow.id.desc()).limit(limit)).all()
