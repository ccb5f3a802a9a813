"""Every pair of state and action in one table, held against the transition table and against real rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, get_args

import pytest

from app.db.tables import JobRow
from app.domain.errors import Conflict
from app.domain.states import TRANSITIONS, Action, next_state
from app.services import lifecycle
from app.services.backend import Backend
from microlith.contract import TERMINAL_STATES, State
from tests.work import submit

LIFE = """
             claim    release          succeed    fail       cancel       stop       expire   retry   repair
queued       running  -                -          failed     cancelled    -          expired  -       -
running      -        queued/requeued  succeeded  failed     cancelling   -          -        -       -
cancelling   -        cancelled        cancelled  cancelled  cancelling/  cancelled  -        -       -
succeeded    -        -                -          -          -            -          -        -       queued
failed       -        -                -          -          -            -          -        queued  -
cancelled    -        -                -          -          -            -          -        queued  -
expired      -        -                -          -          -            -          -        queued  -
"""
"""Where an action leads and, after a slash, the event it leaves: named as the new state, or so, or none at all."""


class Step(NamedTuple):
    """One cell of the table; without an end the action is a conflict."""

    state: State
    action: Action
    end: State | None
    event: str | None


def steps() -> list[Step]:
    """The table, cell by cell."""
    header, *lines = LIFE.strip().splitlines()
    cells = [
        (line.split()[0], action, cell)
        for line in lines
        for action, cell in zip(header.split(), line.split()[1:], strict=True)
    ]
    return [step(state, action, cell) for state, action, cell in cells]


def step(state: str, action: str, cell: str) -> Step:
    if cell == "-":
        return Step(state, action, None, None)
    end, slash, event = cell.partition("/")
    kind = event if slash else end
    return Step(state, action, end, f"job.{kind}" if kind else None)


EVERY = pytest.mark.parametrize("step", steps(), ids=lambda step: f"{step.state}-{step.action}")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_the_table_has_every_pair_once() -> None:
    pairs = [(step.state, step.action) for step in steps()]
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) == {(state, action) for state in get_args(State) for action in get_args(Action)}


def test_the_rules_are_the_table() -> None:
    assert {(step.state, step.action): step.end for step in steps() if step.end} == TRANSITIONS


def in_state(backend: Backend, state: State) -> str:
    """A job that has been in `state` since long ago, with what such a job has: a lease, an end, a phase."""
    job_id = submit(backend)
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        assert job is not None
        job.state, job.queued_at = state, LONG_AGO
        if state in ("running", "cancelling"):
            job.lease_token, job.lease_expires_at, job.phase = "lease", LONG_AGO + timedelta(days=9999), "scoring"
        if state in TERMINAL_STATES:
            job.finished_at = LONG_AGO
    return job_id


def row(backend: Backend, job_id: str) -> tuple[JobRow, list[str]]:
    """The row, and the kinds of its events after the first."""
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        assert job is not None
        events = unit.events.after(job_id, 1, 100)
        assert [event.seq for event in events] == list(range(2, job.last_seq + 1))
        return job, [event.type for event in events]


@EVERY
def test_an_action_does_to_a_row_what_the_table_says(backend: Backend, step: Step) -> None:
    job_id = in_state(backend, step.state)
    before, _ = row(backend, job_id)
    if step.end is None:
        with backend.database.unit() as unit, pytest.raises(Conflict, match=f"The job is {step.state}"):
            lifecycle.move(unit, unit.jobs.lock(job_id), step.action)
    else:
        with backend.database.unit() as unit:
            lifecycle.move(unit, unit.jobs.lock(job_id), step.action)

    after, events = row(backend, job_id)
    end = step.end or step.state
    held = end in ("running", "cancelling")
    assert after.state == end
    assert events == ([step.event] if step.event else [])
    assert after.lease_token == (before.lease_token if held else None)
    assert after.lease_expires_at == (before.lease_expires_at if held else None)
    assert after.phase == (before.phase if held else None)
    assert (after.queued_at > LONG_AGO) == (step.end == "queued")
    assert (after.finished_at is not None and after.finished_at > LONG_AGO) == (step.end in TERMINAL_STATES)


def test_only_a_retry_or_a_repair_leaves_a_terminal_state() -> None:
    assert {action for state, action in TRANSITIONS if state in TERMINAL_STATES} == {"retry", "repair"}


def test_a_cancelling_job_can_only_end_as_cancelled() -> None:
    ends = {after for (state, _), after in TRANSITIONS.items() if state == "cancelling"}
    assert ends == {"cancelling", "cancelled"}


def test_every_state_can_be_reached_from_queued() -> None:
    reached = {"queued"}
    for _ in get_args(State):
        reached |= {after for (state, _), after in TRANSITIONS.items() if state in reached}
    assert reached == set(get_args(State))


def test_a_conflict_tells_what_state_it_would_need() -> None:
    with pytest.raises(Conflict, match=r"It is over\. To cancel it, it must be one of: cancelling, queued, running"):
        next_state("succeeded", "cancel")
