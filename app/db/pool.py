"""Connections that a restart of PostgreSQL has cut are found before they are used.

To ask one whether it lives is a way there and back. Reads that are asked again when they fail do without it where the
connection was in use just now.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What is raised when the database, or the way to it, is gone; the same may work a moment later."""

TRUSTED_SECONDS = 1.0

_trusting = ContextVar("trusting", default=False)


def took_too_long(error: Exception) -> bool:
    """Whether the database is there, and has ended a statement that took longer than it may."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, QueryCanceled)


@contextmanager
def trusting() -> Iterator[None]:
    """While the block runs, a connection that was in use within TRUSTED_SECONDS is handed out unasked."""
    token = _trusting.set(True)
    try:
        yield
    finally:
        _trusting.reset(token)


def survive_restarts(engine: Engine) -> None:
    """Has every connection asked before it is handed out; a dead one is replaced unseen."""

    @event.listens_for(engine, "checkin")
    def put_down(_connection: Any, record: Any) -> None:
        record.info["put_down"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def pick_up(connection: Any, record: Any, _proxy: Any) -> None:
        idle = time.monotonic() - record.info.get("put_down", time.monotonic())
        if not (_trusting.get() and idle < TRUSTED_SECONDS) and not _lives(engine, connection):
            raise DisconnectionError


def _lives(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except (engine.dialect.loaded_dbapi.Error, DBAPIError):
        return False
