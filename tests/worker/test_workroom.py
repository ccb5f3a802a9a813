"""What a job works with, and what of it stays for the next job of the same process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from app.settings import Settings
from tests.embedded.processes import wait_for
from worker.attempt import workspace as place
from worker.attempt.workspace import SpareVerifier, workroom
from worker.packaging.verify import Verifier

HEEDS = "import sys; print('{}', flush=True); [print('{\"logits\": [[1]]}', flush=True) for _ in sys.stdin]"
HEEDS_ONCE = "import sys; print('{}\\n{\"logits\": [[1]]}', flush=True); sys.stdin.readlines()"
ONE, MANY = Settings(jobs_per_child=1), Settings(jobs_per_child=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clean processes that are there at once, none that is kept already, and none that is left."""
    spare = SpareVerifier()
    monkeypatch.setattr(place, "Verifier", partial(Verifier, command=[sys.executable, "-I", "-c", HEEDS]))
    monkeypatch.setattr(place, "spare", spare)
    yield
    spare.close()


def test_all_is_gone_with_the_job_of_a_process_that_serves_no_other() -> None:
    with workroom(ONE) as (folder, verifier):
        assert folder in Path(verifier.folder).parents
        assert verifier.sound
    assert not verifier.sound
    assert not folder.exists()


def test_the_clean_process_waits_for_the_next_job_and_the_folder_does_not() -> None:
    with workroom(MANY) as (first, verifier):
        pass
    with workroom(MANY) as (second, again):
        assert again is verifier
        assert again.sound
        assert not first.exists()
        assert second.exists()


def test_one_that_died_is_replaced() -> None:
    with workroom(MANY) as (_, verifier):
        verifier.process.kill()
        verifier.process.wait()
    with workroom(MANY) as (_, another):
        assert another.sound
    assert not Path(verifier.folder).exists()


@contextmanager
def interrupts_heard() -> Iterator[None]:
    """Tests that run in the background of a shell ignore Ctrl-C otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_whose_answer_nobody_waited_for_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "Verifier", partial(Verifier, command=[sys.executable, "-I", "-c", HEEDS_ONCE]))
    with workroom(MANY) as (folder, verifier):
        verifier.check(folder / "a.zip", {}, [[1]])
        assert verifier.sound
        with interrupts_heard(), pytest.raises(KeyboardInterrupt):
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            verifier.check(folder / "b.zip", {}, [[1]])
    with workroom(MANY) as (_, another):
        assert another is not verifier


def test_one_that_nobody_needs_for_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "IDLE_SECONDS", 0.1)
    with workroom(MANY) as (_, verifier):
        pass
    wait_for(lambda: not verifier.sound)
    with workroom(MANY) as (_, another):
        assert another.sound


def test_one_that_is_lent_again_in_time_is_not_ended() -> None:
    with workroom(MANY) as (_, verifier):
        pass
    with workroom(MANY) as (_, again):
        place.spare.end()  # the first job's time was up just when the second came
        assert again is verifier
        assert again.sound
