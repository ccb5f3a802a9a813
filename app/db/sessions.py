"""Sessions that were ended before their time, in PostgreSQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.db.tables import EndedSessionRow


class SessionStore:
    """All SQL about ended sessions."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def end(self, session_id: str, expires_at: datetime, owner: str) -> None:
        """Remember it until it would have expired; those that have are forgotten."""
        self.session.execute(delete(EndedSessionRow).where(EndedSessionRow.expires_at < func.now()))
        row = {"id": session_id, "owner": owner, "expires_at": expires_at}
        self.session.execute(insert(EndedSessionRow).values(row).on_conflict_do_nothing())

    def ended(self) -> frozenset[str]:
        """Those that somebody may still send."""
        return frozenset(
            self.session.scalars(select(EndedSessionRow.id).where(EndedSessionRow.expires_at >= func.now()))
        )
