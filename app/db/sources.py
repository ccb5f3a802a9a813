"""Registered models and datasets in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json
from sqlalchemy import ColumnElement, Text, case, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Session

from app.db.tables import SourceRow

HEAVY = ("labels", "layers", "columns", "class_names", "first_rows")
"""Facts that a list does without."""

ROLES = ("train", "validation", "test")


@dataclass(frozen=True)
class ListedSource:
    """A registered source as a list, or a page of its own, tells it: `facts` are None while nothing is known.

    They are not `readable` where the database holds what is no object, or numbers beyond all bounds.
    """

    id: str
    upload_id: str | None
    hub: str | None
    columns: dict[str, Any]
    created_at: datetime
    facts: dict[str, Any] | None
    readable: bool


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

    def hold(self, *names: str | None) -> None:
        """Wait for anybody else who holds these names, and hold them until the transaction ends."""
        name = "\n".join(("source", *(name or "" for name in names)))
        self.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))

    def find(self, source_id: str, owner: str, kind: str) -> SourceRow | None:
        query = select(SourceRow).where(SourceRow.id == source_id, SourceRow.owner == owner, SourceRow.kind == kind)
        return self.session.scalar(query)

    def undescribed(self, source_id: str, owner: str, kind: str) -> SourceRow | None:
        """The row, where nothing is known of it yet."""
        query = select(SourceRow).where(SourceRow.id == source_id, SourceRow.owner == owner, SourceRow.kind == kind)
        return self.session.scalar(query.where(_known().is_(False)))

    def of_ids(self, source_ids: Iterable[str], owner: str) -> Sequence[SourceRow]:
        query = select(SourceRow).where(SourceRow.id.in_(list(source_ids)), SourceRow.owner == owner)
        return self.session.scalars(query).all()

    def refusals(self, source_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """By id of a model, why units of it cannot be removed, where a worker has looked for them."""
        known = SourceRow.facts["structures_refused"]
        query = select(SourceRow.id, known).where(SourceRow.id.in_(list(source_ids)))
        found = self.session.execute(query.where(func.jsonb_typeof(known) == "object"))
        return {source_id: {units: str(why) for units, why in told.items()} for source_id, told in found}

    def of_upload(self, upload_id: str) -> Sequence[SourceRow]:
        return self.session.scalars(select(SourceRow).where(SourceRow.upload_id == upload_id)).all()

    def of_hub(self, hub: str, owner: str, kind: str) -> Sequence[SourceRow]:
        query = select(SourceRow).where(SourceRow.hub == hub, SourceRow.owner == owner, SourceRow.kind == kind)
        return self.session.scalars(query).all()

    def whole(self, source_id: str, owner: str, kind: str) -> ListedSource | None:
        """One source with all its facts."""
        query = select(*_IDENTITY, cast(SourceRow.facts, Text))
        query = query.where(SourceRow.id == source_id, SourceRow.owner == owner, SourceRow.kind == kind)
        row = self.session.execute(query).one_or_none()
        return _listed(row) if row else None

    def page(self, owner: str, kind: str, before: str | None, limit: int) -> Sequence[ListedSource]:
        """Newest first, from just below the id `before`, with counts in the place of long facts."""
        query = select(*_LIGHT_IDENTITY, cast(_light(), Text), _count("labels"), _count("layers"))
        query = query.where(SourceRow.owner == owner, SourceRow.kind == kind)
        if before is not None:
            query = query.where(SourceRow.id < before)
        rows = self.session.execute(query.order_by(SourceRow.id.desc()).limit(limit))
        return [_listed(row) for row in rows]


_IDENTITY = (SourceRow.id, SourceRow.upload_id, SourceRow.hub, SourceRow.columns, SourceRow.created_at)
_WITHOUT_LABELS = SourceRow.columns.op("-", return_type=JSONB())(cast("labels", Text))
_LIGHT_IDENTITY = (*_IDENTITY[:3], _WITHOUT_LABELS, SourceRow.created_at)


def _listed(row: Sequence[Any]) -> ListedSource:
    """The row, whatever its facts are like: one that cannot be read does not take the others with it."""
    text, counts = row[5], dict(zip(("label_count", "layer_count"), row[6:], strict=False))
    try:
        facts = None if text is None else from_json(text, allow_inf_nan=False)
        readable = facts is None or isinstance(facts, dict)
    except ValueError:
        facts, readable = None, False
    if isinstance(facts, dict):
        facts |= {name: count for name, count in counts.items() if count is not None}
    return ListedSource(row[0], row[1], row[2], row[3], row[4], facts if readable else None, readable)


def _known() -> ColumnElement[bool]:
    return func.coalesce(func.jsonb_typeof(SourceRow.facts), "null") != "null"


def _light() -> ColumnElement[Any]:
    """Facts without what is long in them; what is of another shape than facts have stays as it is."""
    facts = SourceRow.facts
    light: ColumnElement[Any] = facts.op("-")(cast(list(HEAVY), ARRAY(Text)))
    for role in ROLES:
        light = light.op("#-")(cast(["splits", role, "labels"], ARRAY(Text)))
    shaped = (func.jsonb_typeof(facts) == "object", func.coalesce(func.jsonb_typeof(facts["splits"]), "object"))
    return case((shaped[0] & (shaped[1] == "object"), light), else_=facts)


def _count(name: str) -> ColumnElement[Any]:
    """How long a list among the facts is; null where there is none."""
    value = SourceRow.facts[name]
    return case((func.jsonb_typeof(value) == "array", func.jsonb_array_length(value)), else_=None)
