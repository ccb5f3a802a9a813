"""The transition table, pair by pair."""

from typing import get_args

import pytest

from app.domain.errors import Conflict
from app.domain.states import TRANSITIONS, Action, next_state
from microlith.contract import TERMINAL_STATES, State

STATES, ACTIONS = get_args(State), get_args(Action)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_every_pair_either_leads_where_the_table_says_or_is_a_conflict(state: State, action: Action) -> None:
    if (state, action) in TRANSITIONS:
        assert next_state(state, action) == TRANSITIONS[state, action]
    else:
        with pytest.raises(Conflict, match=f"The job is {state}"):
            next_state(state, action)


def test_only_a_retry_or_a_repair_leaves_a_terminal_state() -> None:
    assert {action for state, action in TRANSITIONS if state in TERMINAL_STATES} == {"retry", "repair"}


def test_a_cancelling_job_can_only_end_as_cancelled() -> None:
    ends = {after for (state, _), after in TRANSITIONS.items() if state == "cancelling"}
    assert ends == {"cancelling", "cancelled"}


def test_every_state_can_be_reached_from_queued() -> None:
    reached = {"queued"}
    for _ in STATES:
        reached |= {after for (state, _), after in TRANSITIONS.items() if state in reached}
    assert reached == set(STATES)


def test_a_conflict_tells_what_state_it_would_need() -> None:
    with pytest.raises(Conflict, match=r"It is over\. To cancel it, it must be one of: cancelling, queued, running"):
        next_state("succeeded", "cancel")
