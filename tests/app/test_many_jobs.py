"""Lists, queue and sweep on a table of many jobs: PostgreSQL reads what it needs from an index, in order, and no more.

How it reads is asked of PostgreSQL itself: the plan of every query, with the rows it looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from app.db.jobs import COUNTED, JobFilter
from app.db.unit import Unit
from app.services.backend import Backend
from app.settings import Settings
from tests.many_jobs import BEGAN, fill, job_id

JOBS = 20_000
MOST_ROWS = 400
"""Of a page of 21, looked at: those it holds, and what has to be passed on the way."""

DEEP = job_id(JOBS // 2)


@pytest.fixture(scope="module")
def crowd(postgres: str) -> Iterator[Backend]:
    """A service with JOBS jobs: one in a thousand is rare in every respect, the newest hundred wait."""
    elsewhere = {"broker_url": "redis://127.0.0.1:9/0", "object_store_url": "file:///tmp"}
    backend = Backend.open(Settings(database_url=postgres, **elsewhere))
    with backend.database.engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
        fill(connection, JOBS)
    yield backend
    with backend.database.engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
    backend.close()


@contextmanager
def explained(backend: Backend) -> Iterator[list[dict[str, Any]]]:
    """The plans of what is read while the block runs."""
    plans: list[dict[str, Any]] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            with cursor.connection.cursor() as beside:
                (plan,) = beside.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).fetchone()
            plans.append((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])

    event.listen(backend.database.engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(backend.database.engine, "before_cursor_execute", explain)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def looked_at(plan: dict[str, Any]) -> int:
    """Rows of tables and indexes, passed over or not."""
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"]]
    return sum(
        round((scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)) * scan["Actual Loops"]) for scan in scans
    )


def check(plans: list[dict[str, Any]], most: int) -> None:
    assert plans
    for plan in plans:
        kinds = {node["Node Type"] for node in nodes(plan) if node.get("Relation Name") == "jobs"}
        assert "Seq Scan" not in kinds, plan
        assert looked_at(plan) <= most, plan


LATE, EARLY = BEGAN + timedelta(seconds=JOBS - 50), BEGAN + timedelta(seconds=50)

FILTERS = {
    "all": JobFilter(),
    "a common state": JobFilter(state="succeeded"),
    "a rare state": JobFilter(state="failed"),
    "a common model": JobFilter(model="demo:common"),
    "a rare model": JobFilter(model="demo:rare"),
    "a rare dataset": JobFilter(dataset="demo:rare"),
    "a rare method": JobFilter(method="random"),
    "an unknown method": JobFilter(method="none"),
    "a common label": JobFilter(labels={"team": "common"}),
    "a rare label": JobFilter(labels={"team": "rare"}),
    "two labels": JobFilter(labels={"team": "rare", "all": "yes"}),
    "an unknown label": JobFilter(labels={"team": "none"}),
    "the latest": JobFilter(created_after=LATE),
    "the earliest": JobFilter(created_before=EARLY),
    "between": JobFilter(created_after=EARLY, created_before=EARLY + timedelta(seconds=50)),
    "the future": JobFilter(created_after=datetime(2200, 1, 1, tzinfo=UTC)),
    "layouts": JobFilter(kind="export"),
    "tries": JobFilter(kind="predict"),
    "a rare state and a common model": JobFilter(state="failed", model="demo:common"),
}


@pytest.mark.parametrize("before", [None, DEEP], ids=["first page", "deep"])
@pytest.mark.parametrize("wanted", FILTERS.values(), ids=FILTERS.keys())
def test_a_page_is_read_from_an_index_whatever_it_is_narrowed_to(
    crowd: Backend, wanted: JobFilter, before: str | None
) -> None:
    with explained(crowd) as plans, crowd.database.unit() as unit:
        unit.jobs.page("default", wanted, before, 21)
    check(plans, MOST_ROWS)


WATCH: dict[str, Callable[[Unit], object]] = {
    "who waits": lambda unit: unit.jobs.waiting("decompose", 0),
    "whose worker is lost": lambda unit: unit.jobs.lapsed(),
    "who is overdue": lambda unit: unit.jobs.overdue(),
    "what is to be swept": lambda unit: unit.jobs.finished_before(36_500, "decompose"),
    "what is done already": lambda unit: unit.jobs.reusable("default", "fingerprint 7"),
    "what is ordered": lambda unit: unit.jobs.ordered("default", "fingerprint 7"),
    "who is next": lambda unit: unit.jobs.lock_next(["decompose", "export"]),
}


@pytest.mark.parametrize("ask", WATCH.values(), ids=WATCH.keys())
def test_the_reaper_and_the_workers_read_from_an_index(crowd: Backend, ask: Callable[[Unit], object]) -> None:
    with explained(crowd) as plans, crowd.database.unit() as unit:
        ask(unit)
    check(plans, MOST_ROWS)


def test_places_in_the_queue_are_counted_so_far_and_no_further(crowd: Backend) -> None:
    with explained(crowd) as plans, crowd.database.unit() as unit:
        places = unit.jobs.queue_positions([job_id(JOBS - 1), job_id(JOBS - COUNTED - 500), job_id(5)])
    assert places == {job_id(JOBS - 1): COUNTED, job_id(JOBS - COUNTED - 500): 1}
    check(plans, 4 * COUNTED)


def test_a_job_finds_its_files_by_an_index(crowd: Backend) -> None:
    with explained(crowd) as plans, crowd.database.unit() as unit:
        assert unit.artifacts.keys_of_job(job_id(JOBS // 2 // 60 * 60)) == {"key"}
    assert {node["Node Type"] for plan in plans for node in nodes(plan) if node.get("Relation Name")} <= {
        "Index Scan",
        "Index Only Scan",
    }
