"""Random lives of jobs on a real PostgreSQL, step by step the same as the rules in `job_rules.py` say.

Callers, workers (quick, lost, and late with a lease that is no longer theirs), the reaper, messages that are lost or
come twice, and time itself take turns in any order. `make test` runs a fixed selection; MICROLITH_MODEL_EXAMPLES=5000
runs so many new ones.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import worker.attempt.run
from app.domain.errors import IdempotencyMismatch, NotEnoughSamples
from app.services import lifecycle
from app.services.backend import Backend
from app.services.jobs import Submission
from app.services.reaper import reap
from app.services.sweeping import sweep
from microlith.contract import JobSpec
from tests.app.job_rules import DEADLINE, KEEP, LEASE, MAX_ATTEMPTS, Ask
from tests.app.job_world import Hands, InterruptedStore, RecordedQueue, expected, look, package, pass_time
from tests.work import DEMO, LABELS
from worker.attempt.lease import CancelledError, LeaseLostError
from worker.attempt.module_rows import key_of

EXAMPLES = os.environ.get("MICROLITH_MODEL_EXAMPLES")
CHECKED = settings(
    max_examples=int(EXAMPLES or 30),
    stateful_step_count=40,
    derandomize=EXAMPLES is None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
MOST_JOBS = 4
REVIVED = {"succeeded": "repair", "failed": "retry"}
WHICH = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4])
"""The first, which is mostly the most interesting, or another."""

ASKS = st.builds(
    Ask,
    concerns=st.sampled_from([(0,), (0, 1)]),
    ratios=st.sampled_from([(0.5,), (0.3, 0.5)]),
    priority=st.sampled_from(["low", "normal", "high"]),
    hurried=st.sampled_from([False, False, True]),
    reuse=st.booleans(),
)


def test_every_interleaving_keeps_the_rules(backend: Backend, tmp_path: Path) -> None:
    store = InterruptedStore(tmp_path / "objects")
    rules = {"lease_seconds": LEASE, "max_attempts": MAX_ATTEMPTS, "keep_days": KEEP / 86400, "orphan_hours": 0.0}
    chosen = backend.settings.model_copy(update=rules)

    class Machine(JobLives):
        house = replace(backend, settings=chosen, queue=RecordedQueue(), objects=store)
        packages: ClassVar = {
            (concern, ratio): package(tmp_path, concern, ratio) for concern in (0, 1) for ratio in (0.3, 0.5)
        }

    run_state_machine_as_test(Machine, settings=CHECKED)


class JobLives(Hands):
    """Each step is done by the service and told to the rules, and their answers are the same."""

    # Callers

    @precondition(lambda self: len(self.rules.jobs) < MOST_JOBS)
    @rule(ask=ASKS, key=st.sampled_from([None, None, "a", "b"]))
    def submit(self, ask: Ask, key: str | None) -> None:
        expected = self.rules.earlier(ask, key)
        spec = DEMO | {"concerns": [LABELS[concern] for concern in ask.concerns], "ratio": list(ask.ratios)}
        spec |= {"priority": ask.priority, "reuse": ask.reuse, "deadline_seconds": DEADLINE if ask.hurried else None}
        submission = Submission(JobSpec.model_validate(spec), key)
        if expected == "mismatch":
            with pytest.raises(IdempotencyMismatch), self.asking() as jobs:
                jobs.submit(submission)
            return
        with self.asking() as jobs:
            job_id = jobs.submit(submission).id
        assert job_id == expected if expected else job_id not in self.rules.jobs
        self.rules.submitted(ask, key, job_id)

    @precondition(lambda self: self.rules.jobs)
    @rule(which=WHICH, action=st.sampled_from(["cancel", "retry", "repair", "delete"]))
    def ask_for(self, which: int, action: str) -> None:
        job_id = self.job_at(which)
        if action == "delete":
            self.gone = job_id
        answer = getattr(self.rules, action)(job_id)
        assert self.answer(job_id, action) == answer

    @precondition(lambda self: any(job.state in REVIVED for job in self.rules.jobs.values()))
    @rule()
    def revive(self) -> None:
        """A caller has what is over done again."""
        job = next(job for job in self.rules.jobs.values() if job.state in REVIVED)
        action = REVIVED[job.state]
        assert (self.answer(job.id, action), getattr(self.rules, action)(job.id)) == ("done", "done")

    # Workers

    @precondition(lambda self: self.rules.messages)
    @rule(number=WHICH, twice=st.booleans())
    def deliver(self, number: int, twice: bool) -> None:
        """A worker takes a message; some messages come again."""
        at = number % len(self.rules.messages)
        job_id = self.rules.messages[at]
        if not twice:
            self.lose_at(at)
        self.claim_for(job_id)

    @precondition(lambda self: self.rules.first)
    @rule(which=WHICH)
    def deliver_late(self, which: int) -> None:
        """A message that everyone had given up."""
        self.claim_for(self.job_at(which))

    @precondition(lambda self: self.rules.messages)
    @rule(number=WHICH)
    def lose_message(self, number: int) -> None:
        self.lose_at(number % len(self.rules.messages))

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH)
    def renew(self, which: int) -> None:
        attempt = self.attempt_at(which)
        job = self.held(attempt)
        attempt.lease.renew()
        if job is None:
            with pytest.raises(LeaseLostError):
                attempt.lease.checkpoint()
            return
        self.rules.renew(job)
        if job.state == "cancelling":
            with pytest.raises(CancelledError):
                attempt.lease.checkpoint()

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH, phase=st.sampled_from(["scoring", "exporting"]))
    def enter(self, which: int, phase: Any) -> None:
        attempt = self.attempt_at(which)
        if attempt.lease.stop is not None:
            return
        first = phase not in attempt.progress.entered
        with self.writing(attempt) as job, attempt.progress.phase(phase):
            pass
        if job:
            job.phase = phase
            job.events += ["job.phase"] if first else []

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH, number=WHICH)
    def publish(self, which: int, number: int) -> None:
        self.publish_one(self.attempt_at(which), number)

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH, number=WHICH, other=WHICH, action=st.sampled_from(["delete", "cancel", "sweep"]))
    def publish_while(self, which: int, number: int, other: int, action: str) -> None:
        """Something happens between the upload and the row."""
        self.house.objects.meanwhile = lambda: self.sweep() if action == "sweep" else self.ask_for(other, action)
        try:
            self.publish_one(self.attempt_at(which), number)
        finally:
            self.house.objects.meanwhile = None

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH, well=st.sampled_from([True, True, False]))
    def end(self, which: int, well: bool) -> None:
        attempt = self.attempt_at(which)
        with self.writing(attempt) as job:
            if well:
                worker.attempt.run.succeed(attempt)
            else:
                worker.attempt.run.fail(attempt.lease, NotEnoughSamples("too few"))
        if job:
            self.rules.end(job, *(("succeeded", None) if well else ("failed", "NOT_ENOUGH_SAMPLES")))

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH)
    def hand_back(self, which: int) -> None:
        """The worker is told to stop."""
        attempt = self.attempt_at(which)
        with self.writing(attempt) as job:
            worker.attempt.run.give_back(self.house, attempt.lease, lifecycle.STOPPED)
        if job:
            self.rules.hand_back(job)

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH)
    def give_up(self, which: int) -> None:
        """The worker has waited for the database in vain, and then it is back."""
        attempt = self.attempt_at(which)
        with self.writing(attempt) as job:
            worker.attempt.run.give_up(self.house, attempt.lease)
        if job:
            self.rules.lose(job)

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH)
    def stop(self, which: int) -> None:
        """The worker has heard of the cancel."""
        attempt = self.attempt_at(which)
        if not isinstance(attempt.lease.stop, CancelledError):
            return
        with self.writing(attempt) as job:
            worker.attempt.run.stop(attempt.lease)
        if job:
            self.rules.end(job, "cancelled")

    @precondition(lambda self: self.rules.stored)
    @rule(number=WHICH, how=st.sampled_from(["cut", "changed", "gone"]))
    def damage(self, number: int, how: Any) -> None:
        """A stored file is not what it was."""
        piece = sorted(self.rules.stored)[number % len(self.rules.stored)]
        path = self.house.objects.local_path(key_of(self.packages[piece]))
        whole = self.packages[piece].path.read_bytes()
        if how == "gone":
            path.unlink()
            del self.rules.stored[piece]
        else:
            path.write_bytes(whole[:-1] if how == "cut" else whole[:-1] + b"?")
            self.rules.stored[piece] = how

    # Time

    @precondition(lambda self: self.rules.jobs)
    @rule(ticks=st.sampled_from([1, 1, 2, 3]))
    def wait(self, ticks: int) -> None:
        pass_time(self.house, ticks)
        self.rules.wait(ticks)
        self.waited = True

    @precondition(lambda self: self.waited)
    @rule(recover=st.booleans())
    def reap(self, recover: bool) -> None:
        reap(self.house, recover=recover)
        self.rules.reap(recover)
        self.waited = not recover

    @precondition(lambda self: self.rules.stored)
    @rule()
    def sweep(self) -> None:
        sweep(self.house)
        self.rules.sweep()

    # What always holds

    @invariant()
    def what_is_there_is_what_the_rules_say(self) -> None:
        assert look(self.house) == {job.id: expected(job) for job in self.rules.jobs.values()}
        assert set(self.house.objects.list()) == {key_of(self.packages[piece]) for piece in self.rules.stored}
        assert self.house.queue.messages == self.rules.messages
