"""The pool of child processes at its end; tests/faults shows how it goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from celery.concurrency import prefork

from worker.pool import TaskPool


@pytest.mark.parametrize(("jobs", "ended"), [(0, True), (1, False)])
def test_a_worker_that_stops_ends_a_child_at_once_unless_it_has_a_job(
    monkeypatch: pytest.MonkeyPatch, jobs: int, ended: bool
) -> None:
    told: list[str] = []
    child = SimpleNamespace(terminate_controlled=lambda: told.append("end"))
    pool = TaskPool(limit=1)
    pool._pool = SimpleNamespace(_pool=[child], _cache=dict.fromkeys(range(jobs)))
    monkeypatch.setattr(prefork.TaskPool, "on_stop", lambda self: told.append("stop"))
    pool.on_stop()
    assert told == (["end", "stop"] if ended else ["stop"])


def test_a_worker_whose_children_are_gone_stops_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    pool = TaskPool(limit=1)
    monkeypatch.setattr(prefork.TaskPool, "on_stop", lambda self: told.append("stop"))
    pool.on_stop()
    assert told == ["stop"]
