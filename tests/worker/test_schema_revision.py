"""A worker takes no job from a database of another release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from app.db.migrations import check_head
from app.db.unit import Database
from app.domain.errors import SchemaMismatch
from app.queue import RUN_JOB, celery_app
from app.services.backend import Backend
from app.services.jobs import Jobs
from tests import work
from worker.__main__ import refuse_another_schema
from worker.tasks import register


@contextmanager
def of_release(backend: Backend, number: str) -> Iterator[None]:
    """While the block runs the database says that it is of another release."""
    with backend.database.engine.begin() as connection:
        now = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": number})
    try:
        yield
    finally:
        with backend.database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": now})


@pytest.mark.parametrize(("number", "word"), [("0001", "older"), ("9999", "newer")])
def test_a_worker_does_not_start_and_says_why(backend: Backend, number: str, word: str) -> None:
    with of_release(backend, number):
        with pytest.raises(SchemaMismatch, match=word):
            check_head(backend.database.engine)
        with pytest.raises(SystemExit, match=f"SCHEMA_MISMATCH: The database is {word}"):
            refuse_another_schema(Database(str(backend.settings.database_url)))


def test_a_worker_that_runs_already_claims_nothing(backend: Backend) -> None:
    job_id = work.submit(backend)
    celery = celery_app(str(backend.settings.broker_url))
    register(celery, backend.settings)
    for number in ("0001", "9999"):
        with of_release(backend, number):
            celery.tasks[RUN_JOB](job_id)
    with backend.database.unit() as unit:
        assert Jobs(unit, "default", backend).get(job_id).state == "queued"


def test_of_the_same_release_it_starts_and_so_it_does_where_the_database_is_away(backend: Backend) -> None:
    refuse_another_schema(Database(str(backend.settings.database_url)))
    refuse_another_schema(Database("postgresql+psycopg://nobody@127.0.0.1:9/nothing"))
