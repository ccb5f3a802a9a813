"""The right of one attempt to run a job and to write about it, kept alive by a heartbeat.

The heartbeat also hears: a cancel, a deadline, or that the lease was lost. The compute meets what it heard at its next
`checkpoint()`, which costs nothing between batches. Compute that meets no checkpoint for long is ended with its
process, and a process that cannot even beat (some library holds Python's lock) is ended by a watchdog in C.
"""

from __future__ import annotations

import contextvars
import faulthandler
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.db.tables import JobRow
from app.db.unit import Database, Unit
from app.domain.errors import DeadlineExceeded
from app.services import lifecycle
from app.settings import Settings
from microlith.contract import JobSpec, Kind, State

DEAF = 70
"""Exit code of a process that was ended because its compute did not listen."""

log = structlog.get_logger()


STDERR = 2
"""Where a watchdog writes, whatever the process has made of `sys.stderr`."""


class LeaseLostError(Exception):
    """Another worker may have the job: this one must not write, and need not finish."""


class CancelledError(Exception):
    """The caller does not want the job any more."""


@dataclass
class Lease:
    """The right of one attempt to its job."""

    database: Database
    settings: Settings
    job_id: str
    owner: str
    token: str
    attempt: int
    spec: JobSpec
    seconds_left: float | None
    repairing: bool = False
    kind: Kind = "decompose"
    order: dict[str, Any] | None = None
    stop: Exception | None = field(default=None, init=False)
    heard_at: float = field(default=0.0, init=False)

    @classmethod
    def claim(cls, database: Database, settings: Settings, job_id: str) -> Self | None:
        """The lease of a queued job; None when it is not queued, because it is over or somebody else was first."""
        with database.unit() as unit:
            job = lifecycle.claim(unit, job_id, settings.lease_seconds, settings.kinds)
            if job is None or job.lease_token is None:
                return None
            left = (job.deadline_at - unit.jobs.now()).total_seconds() if job.deadline_at else None
            return cls.of(database, settings, job, left)

    @classmethod
    def of(cls, database: Database, settings: Settings, job: JobRow, seconds_left: float | None = None) -> Self:
        """The lease that a running job is under."""
        return cls(
            database=database,
            settings=settings,
            job_id=job.id,
            owner=job.owner,
            token=str(job.lease_token),
            attempt=job.attempts,
            spec=JobSpec.model_validate(job.spec),
            seconds_left=seconds_left,
            repairing=job.repairing,
            kind=job.kind,
            order=job.order,
        )

    @property
    def holder(self) -> str:
        """The name that shards of the job are held under."""
        return self.token

    def checkpoint(self) -> None:
        """Raises what the heartbeat heard; passes otherwise."""
        if self.stop is not None:
            raise self.stop

    @contextmanager
    def write(self) -> Iterator[tuple[Unit, JobRow]]:
        """A transaction with the job's row, locked. Raises LeaseLostError unless this lease still holds it."""
        with self.database.unit() as unit:
            job = unit.jobs.held(self.job_id, self.token)
            if job is None:
                raise LeaseLostError(self.job_id)
            yield unit, job

    def renew(self) -> None:
        """One beat: the lease lasts longer, and the next checkpoint raises it if it is lost, or the job cancelled."""
        with self.database.unit() as unit:
            state = self.extend(unit)
        if state is None:
            self._hear(LeaseLostError(self.job_id))
        elif state == "cancelling":
            self._hear(CancelledError(self.job_id))

    def extend(self, unit: Unit) -> State | None:
        """Has the lease last longer; the job's state, or None when it is lost."""
        return unit.jobs.renew(self.job_id, self.token, self.settings.lease_seconds)

    @contextmanager
    def heartbeat(self, deaf: Callable[[Exception], None]) -> Iterator[None]:
        """Renew the lease while the block runs. `deaf` is called when it does not meet in time what was heard."""
        over = threading.Event()
        beat = contextvars.copy_context().run  # so that its log lines name the job too
        thread = threading.Thread(target=beat, args=(self._beat, over, deaf), name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: threading.Event, deaf: Callable[[Exception], None]) -> None:
        began = time.monotonic()
        self._breathe()
        while not over.wait(self.settings.heartbeat_seconds):
            self._breathe()
            if self.seconds_left is not None and time.monotonic() - began > self.seconds_left:
                self._hear(_too_late(self.spec))
            try:
                self.renew()
            except SQLAlchemyError as error:
                log.warning("heartbeat_missed", error=str(error).splitlines()[0])
            if self.stop and time.monotonic() - self.heard_at > self.settings.cancel_grace_seconds:
                deaf(self.stop)
        faulthandler.cancel_dump_traceback_later()

    def _breathe(self) -> None:
        """Ends the process, with a trace of where it hung, unless it breathes again within the time of two leases."""
        faulthandler.dump_traceback_later(2 * self.settings.lease_seconds, exit=True, file=STDERR)

    def _hear(self, what: Exception) -> None:
        """What came first counts, but a lease that is lost leaves nothing else to say."""
        if self.stop is None:
            self.heard_at = time.monotonic()
        if self.stop is None or isinstance(what, LeaseLostError):
            self.stop = what


def _too_late(spec: JobSpec) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"The job did not finish within {spec.deadline_seconds} s.",
        hint="Retry it (finished concerns are kept), or allow more with `deadline_seconds`.",
    )
