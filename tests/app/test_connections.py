"""Connections that a restart of PostgreSQL cuts, and reads that begin no transaction."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import app.db.pool
from app.db.unit import Database

ME = text("SELECT pg_backend_pid()")


@pytest.fixture
def database(postgres: str):
    found = Database(postgres, pool_size=1)
    yield found
    found.close()


def server_process(database: Database) -> int:
    with database.unit() as unit:
        return int(unit.session.scalars(ME).one())


def cut(postgres: str, process: int) -> None:
    other = Database(postgres, pool_size=1)
    with other.unit() as unit:
        assert unit.session.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": process})
    other.close()


def test_a_connection_that_was_cut_while_it_lay_idle_is_replaced_unseen(
    database: Database, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.db.pool, "IDLE_SECONDS", 0.0)
    first = server_process(database)
    assert server_process(database) == first
    cut(postgres, first)
    assert server_process(database) != first


def test_a_connection_that_was_cut_just_after_its_last_use_fails_once(database: Database, postgres: str) -> None:
    first = server_process(database)
    cut(postgres, first)
    with pytest.raises(OperationalError):
        server_process(database)
    assert server_process(database) != first


def test_a_lock_on_a_connection_that_was_cut_fails_as_anything_else_does(database: Database, postgres: str) -> None:
    for hold in (lambda: database.shielded(["an object"]), lambda: database.alone("a sweep")):
        cut(postgres, server_process(database))
        with pytest.raises(OperationalError), hold():
            pass
    with database.alone("a sweep") as first:
        assert first


def test_a_glance_begins_no_transaction_and_leaves_none_to_others(database: Database) -> None:
    moment = text("SELECT now()::text || pg_sleep(0.002)::text")
    with database.glance() as unit:
        assert unit.session.scalar(moment) != unit.session.scalar(moment)
    with database.unit() as unit:
        assert unit.session.scalar(moment) == unit.session.scalar(moment)
