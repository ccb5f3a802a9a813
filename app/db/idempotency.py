"""Idempotency keys in PostgreSQL."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import IdempotencyRow


class IdempotencyStore:
    """All SQL about idempotency keys."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def reserve(self, owner: str, key: str) -> bool:
        """Take the key for this transaction; False while another request holds it. A crash frees it by itself."""
        number = func.hashtextextended(f"{owner}\n{key}", 0)
        return bool(self.session.scalar(select(func.pg_try_advisory_xact_lock(number))))

    def find(self, owner: str, key: str) -> IdempotencyRow | None:
        return self.session.get(IdempotencyRow, (owner, key))

    def add(self, row: IdempotencyRow) -> None:
        self.session.add(row)
