"""How far a job is: the phases it enters, the rows that pass through a model, and when it may be done.

All of it is written under the lease, so a worker that has lost its job leaves no trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from app.db.pool import DATABASE_AWAY
from app.db.tables import JobRow
from microlith.contract import Phase, Progress
from worker.attempt.lease import Lease
from worker.attempt.retrying import patient

PROGRESS_SECONDS = 0.5
"""Progress is written at most so often; the phases are written at once."""

LEAST_SHARE = 0.03
"""Of the work that must be done before the rest is forecast from it."""


@dataclass
class ProgressWriter:
    """Counts the rows and times the phases of one attempt. Where it is not `shown`, nothing of that is written."""

    lease: Lease
    shown: bool = True
    total: int = 0
    done: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    lapped: dict[str, float] = field(default_factory=dict)
    entered: set[Phase] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    written: float = 0.0

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time spent in the block is the phase's. The first entry into a phase is an event."""
        self.lease.checkpoint()
        if self.shown:
            self._write_phase(phase)
        began = time.monotonic()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.monotonic() - began

    def expect(self, rows: int) -> None:
        """How many rows the job will pass through a model: what progress is counted in, from now on."""
        self.total = rows
        self.began = time.monotonic()

    def leave(self, rows: int) -> None:
        """All but so many rows are done, by whomever."""
        self.done = self.total - rows

    def follow(self) -> Callable[[int], None]:
        """A checkpoint for one piece of work, told how many of its rows are done.

        It meets a cancel, a deadline or a lost lease by raising it, and writes progress now and then.
        """
        before = self.done

        def checkpoint(rows: int) -> None:
            self._advance(before + rows)

        return checkpoint

    def lap(self) -> dict[str, float]:
        """Seconds spent in each phase since the last lap: one module's share."""
        spent = {phase: seconds - self.lapped.get(phase, 0.0) for phase, seconds in self.timings.items()}
        self.lapped = dict(self.timings)
        return {phase: seconds for phase, seconds in spent.items() if seconds > 0}

    def complete(self, job: JobRow) -> None:
        """All is done: the last word of an attempt that succeeded, in the transaction that holds its row."""
        self.done = self.total
        self._fill_in(job)

    @patient
    def _write_phase(self, phase: Phase) -> None:
        with self.lease.write() as (unit, job):
            job.phase = phase
            if phase not in self.entered:
                unit.events.append(job, "job.phase", {"phase": phase}, unit.jobs.now())
        self.entered.add(phase)

    def _advance(self, done: int) -> None:
        self.lease.checkpoint()
        self.done = done
        if self.shown and time.monotonic() - self.written > PROGRESS_SECONDS:
            self.written = time.monotonic()
            with suppress(*DATABASE_AWAY):  # progress is no reason to wait: more of it comes
                self._write_progress()

    def _write_progress(self) -> None:
        with self.lease.write() as (unit, job):
            progress = self._fill_in(job)
            unit.events.append(job, "job.progress", progress.model_dump(), unit.jobs.now())

    def _fill_in(self, job: JobRow) -> Progress:
        progress = self._forecast()
        job.progress = progress.model_dump()
        job.timings = {phase: round(seconds, 3) for phase, seconds in self.timings.items()}
        return progress

    def _forecast(self) -> Progress:
        if not self.total:
            return Progress()
        share = min(self.done / self.total, 1.0)
        elapsed = time.monotonic() - self.began
        eta = elapsed * (1 - share) / share if share >= LEAST_SHARE else None
        return Progress(
            percent=round(100 * share, 1), done=self.done, total=self.total, eta_seconds=eta and round(eta, 1)
        )
