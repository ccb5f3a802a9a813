"""The rules of a job's life in plain Python, without database, queue or clock: what `test_job_model.py` compares with.

Time is counted in ticks of TICK seconds. A lease of LEASE seconds lapses in its third tick, a deadline of DEADLINE
seconds passes in its second, and a job that was queued in an earlier tick may have lost its message. A finished job is
kept for KEEP seconds, so it is gone in its fourth tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

TICK, LEASE, DEADLINE, KEEP = 400.0, 1000.0, 700, 1400.0
LAPSED_TICKS, OVERDUE_TICKS, UNHEARD_TICKS, KEPT_TICKS = 3, 2, 1, 4
MAX_ATTEMPTS = 2

HELD = ("running", "cancelling")
OVER = ("succeeded", "failed", "cancelled", "expired")
PRIORITY = {"low": 0, "normal": 1, "high": 2}

Piece = tuple[int, float]
Answer = Literal["done", "conflict", "missing"]
Stored = Literal["whole", "cut", "changed"]


@dataclass(frozen=True)
class Ask:
    """What one request asks for; equal asks are equal bodies."""

    concerns: tuple[int, ...] = (0,)
    ratios: tuple[float, ...] = (0.5,)
    priority: str = "normal"
    hurried: bool = False
    reuse: bool = False

    @property
    def question(self) -> tuple[object, ...]:
        """What decides the answer."""
        return self.concerns, self.ratios

    @property
    def pieces(self) -> list[Piece]:
        """The modules it takes."""
        return [(concern, ratio) for concern in self.concerns for ratio in self.ratios]


@dataclass
class JobRule:
    """One job as the rules see it."""

    id: str
    ask: Ask
    place: int
    state: str = "queued"
    attempts: int = 0
    handed_back: int = 0
    started: bool = False
    repairing: bool = False
    holder: str | None = None
    phase: str | None = None
    error: str | None = None
    heard: int = 0
    lease_age: int = 0
    queued_age: int = 0
    deadline_age: int = 0
    over_age: int = 0
    modules: set[Piece] = field(default_factory=set)
    events: list[str] = field(default_factory=lambda: ["job.queued"])

    @property
    def overdue(self) -> bool:
        return self.state == "queued" and self.ask.hurried and self.deadline_age >= OVERDUE_TICKS

    def become(self, state: str, event: str | None = None) -> None:
        """Every change of state leaves one event; only a held job has a holder."""
        self.state = state
        self.events.append(event or f"job.{state}")
        if state not in HELD:
            self.holder = self.phase = None
        if state == "queued":
            self.queued_age = 0
        if state in OVER:
            self.over_age = 0
        if state == "succeeded":
            self.repairing = False


class Rules:
    """All jobs, the messages under way, and the objects that exist."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRule] = {}
        self.keys: dict[str, tuple[Ask, str]] = {}
        self.messages: list[str] = []
        self.stored: dict[Piece, Stored] = {}
        self.shielded: set[Piece] = set()
        self._places = 0

    # What callers ask

    def earlier(self, ask: Ask, key: str | None) -> str | None:
        """The id that a submission is answered with, `mismatch`, or None where it makes a new job."""
        if key in self.keys:
            body, job_id = self.keys[key]
            return job_id if body == ask else "mismatch"
        same = [job.id for job in self.jobs.values() if job.state == "succeeded" and job.ask.question == ask.question]
        return max(same) if ask.reuse and same else None

    def submitted(self, ask: Ask, key: str | None, job_id: str) -> None:
        if job_id not in self.jobs:
            self.jobs[job_id] = JobRule(job_id, ask, self._next_place())
            self.messages.append(job_id)
        if key is not None:
            self.keys.setdefault(key, (ask, job_id))

    def cancel(self, job_id: str) -> Answer:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.state in OVER:
            return "conflict"
        if job.state == "queued":
            job.become("cancelled")
        elif job.state == "running":
            job.become("cancelling")
        return "done"

    def retry(self, job_id: str) -> Answer:
        return self._again(job_id, ("failed", "cancelled", "expired"))

    def repair(self, job_id: str) -> Answer:
        answer = self._again(job_id, ("succeeded",))
        if answer == "done":
            self.jobs[job_id].repairing = True
        return answer

    def delete(self, job_id: str) -> Answer:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.state not in OVER:
            return "conflict"
        self._remove(job)
        return "done"

    # What workers do

    def claim(self, job_id: str) -> JobRule | None:
        """The job that a worker gets for this message: the one named, or else the first of the queue."""
        job = self.jobs.get(job_id)
        if job is None or job.state != "queued":
            job = self.first
        while job is not None and job.overdue:
            self._expire(job)
            job = self.first
        if job is None:
            return None
        job.attempts += 1
        job.started = True
        self.renew(job)
        job.become("running")
        return job

    def renew(self, job: JobRule) -> None:
        """The lease begins anew."""
        job.lease_age, job.heard = 0, self._next_place()

    def held(self, job_id: str, token: str) -> JobRule | None:
        """The job, if this token may write."""
        job = self.jobs.get(job_id)
        return job if job and job.holder == token else None

    def left(self, job: JobRule) -> list[Piece]:
        """What the attempt has to make: what is missing or cut short, and in a repair whatever is not whole."""
        sound = ("whole",) if job.repairing else ("whole", "changed")
        return [p for p in job.ask.pieces if p not in job.modules or self.stored.get(p) not in sound]

    def upload(self, piece: Piece, repairing: bool) -> None:
        """A file of the right size is taken for the one it is named after, except in a repair."""
        if repairing or self.stored.get(piece) != "changed":
            self.stored[piece] = "whole"

    def publish(self, job: JobRule, piece: Piece) -> None:
        if job.repairing or piece not in job.modules:
            job.events.append("module.ready")
        job.modules.add(piece)

    def end(self, job: JobRule, state: str, error: str | None = None) -> None:
        """The last word of an attempt. Who asked for a cancel gets one."""
        if job.state == "cancelling":
            job.become("cancelled")
        else:
            job.error = error
            job.become(state)

    def hand_back(self, job: JobRule) -> None:
        """A worker that is told to stop leaves the job to the next one; that is nobody's fault."""
        job.handed_back += 1
        self._release(job)

    def lose(self, job: JobRule) -> None:
        """A worker was lost: the job is queued again, unless it has cost too many."""
        if job.state == "running" and job.attempts - job.handed_back >= MAX_ATTEMPTS:
            self.end(job, "failed", "WORKER_LOST")
            self.messages.append(job.id)
        else:
            self._release(job)

    # What time and the reaper do

    def wait(self, ticks: int) -> None:
        for job in self.jobs.values():
            job.lease_age += ticks
            job.queued_age += ticks
            job.deadline_age += ticks
            job.over_age += ticks

    def reap(self, recover: bool) -> None:
        lapsed = [job for job in self.jobs.values() if job.holder and job.lease_age >= LAPSED_TICKS]
        overdue = [job for job in self.jobs.values() if job.overdue]
        for job in sorted(lapsed, key=lambda job: job.heard) if recover else ():
            self.lose(job)
        for job in overdue:
            self._expire(job)
        unheard = [job for job in self.jobs.values() if job.state == "queued" and job.queued_age >= UNHEARD_TICKS]
        if not self.messages:
            self.messages.extend(job.id for job in sorted(unheard, key=_turn))

    def sweep(self) -> None:
        """Jobs that were kept long enough go, and objects that nothing names and nobody is about to name."""
        for job in [job for job in self.jobs.values() if job.state in OVER and job.over_age >= KEPT_TICKS]:
            self._remove(job)
        self._discard(set(self.stored))

    @property
    def first(self) -> JobRule | None:
        return min((job for job in self.jobs.values() if job.state == "queued"), key=_turn, default=None)

    @property
    def named(self) -> set[Piece]:
        return {piece for job in self.jobs.values() for piece in job.modules}

    def _again(self, job_id: str, states: tuple[str, ...]) -> Answer:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.state not in states:
            return "conflict"
        job.attempts, job.handed_back, job.started, job.error, job.deadline_age = 0, 0, False, None, 0
        self._queue(job, "job.queued")
        return "done"

    def _remove(self, job: JobRule) -> None:
        del self.jobs[job.id]
        self.keys = {key: made for key, made in self.keys.items() if made[1] != job.id}
        self._discard(job.modules)

    def _discard(self, pieces: set[Piece]) -> None:
        for piece in pieces - self.named - self.shielded:
            self.stored.pop(piece, None)

    def _release(self, job: JobRule) -> None:
        if job.state == "cancelling":
            job.become("cancelled")
            self.messages.append(job.id)
        else:
            self._queue(job, "job.requeued")

    def _queue(self, job: JobRule, event: str) -> None:
        job.place = self._next_place()
        job.become("queued", event)
        self.messages.append(job.id)

    def _expire(self, job: JobRule) -> None:
        job.error = "DEADLINE_EXCEEDED"
        job.become("failed" if job.started else "expired")

    def _next_place(self) -> int:
        self._places += 1
        return self._places


def _turn(job: JobRule) -> tuple[int, int]:
    """Who is next: the urgent first, then who has waited longest."""
    return -PRIORITY[job.ask.priority], job.place
