"""Connections that a restart of PostgreSQL cuts, and reads that begin no transaction."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import app.db.pool
from app.db.pool import trusting
from app.db.unit import Database
from app.services.backend import Backend
from app.services.watching import Watching
from tests.work import submit

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


def test_a_connection_that_was_cut_is_replaced_unseen(database: Database, postgres: str) -> None:
    first = server_process(database)
    assert server_process(database) == first
    cut(postgres, first)
    assert server_process(database) != first


def test_who_trusts_a_connection_that_was_in_use_just_now_may_have_to_ask_again(
    database: Database, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = server_process(database)
    cut(postgres, first)
    with pytest.raises(OperationalError), trusting():
        server_process(database)
    second = server_process(database)
    assert second != first
    cut(postgres, second)
    monkeypatch.setattr(app.db.pool, "TRUSTED_SECONDS", 0.0)
    with trusting():
        assert server_process(database) != second, "it lay idle for too long to be trusted"


def test_a_lock_on_a_connection_that_was_cut_fails_as_anything_else_does(database: Database, postgres: str) -> None:
    for hold in (lambda: database.shielded(["an object"]), lambda: database.try_lock("a sweep")):
        cut(postgres, server_process(database))
        with pytest.raises(OperationalError), trusting(), hold():
            pass
    with database.try_lock("a sweep") as first:
        assert first


def test_a_glance_begins_no_transaction_and_leaves_none_to_others(database: Database) -> None:
    moment = text("SELECT now()::text || pg_sleep(0.002)::text")
    with database.glance() as unit:
        assert unit.session.scalar(moment) != unit.session.scalar(moment)
    with database.unit() as unit:
        assert unit.session.scalar(moment) == unit.session.scalar(moment)


def test_who_waits_for_a_job_does_not_notice_that_a_connection_was_cut(backend: Backend, postgres: str) -> None:
    job_id, watching = submit(backend), Watching(backend, "default")

    async def story() -> None:
        assert (await watching.job(job_id)).state == "queued"
        cut(postgres, server_process(backend.database))
        assert (await watching.job(job_id)).state == "queued"

    asyncio.run(story())
