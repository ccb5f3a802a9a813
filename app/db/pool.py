"""Connections that a restart of PostgreSQL has cut are found before they are used, at no cost to those in daily use."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError

IDLE_SECONDS = 1.0
"""A connection that was used within so long is not asked whether it lives: that is one more way there and back."""


def survive_restarts(engine: Engine) -> None:
    """Has a connection that lay idle asked before it is handed out; a dead one is replaced unseen.

    One that dies within IDLE_SECONDS fails its statement, as one that dies during a statement does.
    """

    @event.listens_for(engine, "checkin")
    def put_down(_connection: Any, record: Any) -> None:
        record.info["put_down"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def pick_up(connection: Any, record: Any, _proxy: Any) -> None:
        idle = time.monotonic() - record.info.get("put_down", time.monotonic())
        if idle > IDLE_SECONDS and not _lives(engine, connection):
            raise DisconnectionError


def _lives(engine: Engine, connection: Any) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except (engine.dialect.loaded_dbapi.Error, DBAPIError):
        return False
