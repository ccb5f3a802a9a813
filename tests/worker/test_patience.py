"""Servers that are away are waited for; what waiting does not mend is said at once."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from app.domain.errors import StorageUnavailable
from worker.attempt import retrying as patience
from worker.attempt.retrying import patient, reach_store


def failing(times: int, error: Exception) -> Callable[[], str]:
    """A step that fails so often and then answers."""
    left = [error] * times

    def step() -> str:
        if left:
            raise left.pop()
        return "done"

    return step


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)


def away() -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception("connection refused"))


def test_a_step_is_run_again_until_the_database_is_back() -> None:
    assert patient(failing(3, away()))() == "done"


def test_a_database_that_stays_away_is_given_up_with_its_own_error() -> None:
    with pytest.raises(OperationalError):
        patient(failing(10_000, away()))()


def test_a_fault_of_the_step_itself_is_not_repeated() -> None:
    step = failing(1, IntegrityError("INSERT", {}, Exception("twice")))
    with pytest.raises(IntegrityError):
        patient(step)()
    assert step() == "done"


def test_a_store_that_comes_back_costs_nothing() -> None:
    assert reach_store(failing(3, ConnectionError("refused")), lambda: None) == "done"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_store_that_is_full_or_refuses_is_not_waited_for(number: int) -> None:
    step = failing(1, OSError(number, "no"))
    with pytest.raises(StorageUnavailable, match="no") as told:
        reach_store(step, lambda: None)
    assert told.value.hint is not None
    assert "retry" in told.value.hint
    assert step() == "done", "it was asked once"


def test_waiting_meets_a_cancel() -> None:
    def cancelled() -> None:
        raise InterruptedError("cancelled")

    with pytest.raises((InterruptedError, StorageUnavailable), match="cancelled"):
        reach_store(failing(10_000, ConnectionError("refused")), cancelled)
