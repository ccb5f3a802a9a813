"""What the lives of jobs need besides the service: a queue that loses messages, a store that waits, eyes and hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import text

from app.db.tables import Table
from app.domain.errors import Conflict, NotFound
from app.services.backend import Backend
from app.services.jobs import Jobs
from app.storage.folder import FolderStore
from microlith.contract import Concern, Kind
from tests.app.job_rules import HELD, MAX_ATTEMPTS, OVER, TICK, JobRule, Piece, Rules
from tests.work import LABELS
from worker.attempt.attempt import Attempt
from worker.attempt.lease import Lease, LeaseLostError
from worker.packaging.archive import Archive, archive

SHIFT = text(
    "UPDATE jobs SET lease_expires_at = lease_expires_at - :time, queued_at = queued_at - :time,"
    " deadline_at = deadline_at - :time, created_at = created_at - :time, finished_at = finished_at - :time"
)

SEEN = text("""
    SELECT id, state, attempts, lease_token AS holder, phase, repairing, error ->> 'code' AS error,
        lease_expires_at IS NOT NULL AS leased, finished_at IS NOT NULL AS finished,
        ARRAY(SELECT seq FROM events WHERE job_id = jobs.id ORDER BY seq) AS numbers,
        ARRAY(SELECT type FROM events WHERE job_id = jobs.id ORDER BY seq) AS events,
        ARRAY(SELECT ARRAY[concern_id, ratio] FROM modules WHERE job_id = jobs.id ORDER BY concern_id, ratio) AS modules
    FROM jobs
""")
COMPARED = ("state", "attempts", "holder", "phase", "repairing", "error", "events")


def package(folder: Path, concern: int, ratio: float) -> Archive:
    """A small artifact of this concern at this ratio: jobs that publish the same share its object."""
    content = folder / f"{concern}-{ratio}"
    content.mkdir()
    (content / "config.json").write_text(f'{{"concern": {concern}, "ratio": {ratio}}}')
    return archive(content, folder / f"{concern}-{ratio}.zip")


class RecordedQueue:
    """Messages on their way, in a list, to be lost and doubled at will."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def enqueue(self, job_id: str, priority: int, kind: Kind = "decompose") -> None:
        self.messages.append(job_id)

    def depth(self, kind: Kind = "decompose") -> int:
        return len(self.messages) if kind == "decompose" else 0


class InterruptedStore(FolderStore):
    """Something may happen after an upload and before its row is written."""

    meanwhile: Callable[[], object] | None = None

    def put_file(self, key: str, path: Path, media_type: str, *, replace: bool = False) -> None:
        super().put_file(key, path, media_type, replace=replace)
        if self.meanwhile:
            self.meanwhile()


def pass_time(house: Backend, ticks: int) -> None:
    """Everything in the database happened so much earlier; its clock alone counts."""
    with house.database.engine.begin() as connection:
        connection.execute(SHIFT, {"time": timedelta(seconds=ticks * TICK)})


def look(house: Backend) -> dict[str, dict[str, Any]]:
    """Every job as it is stored, after `check`."""
    with house.database.engine.connect() as connection:
        rows = connection.execute(SEEN).all()
    for row in rows:
        check(row)
    return {row.id: seen(row) for row in rows}


def check(row: Any) -> None:
    """What holds whatever happened: who holds a lease, whole histories, one end for each stay."""
    assert (row.holder is not None) == row.leased == (row.state in HELD)
    assert row.finished == (row.state in OVER)
    assert row.numbers == list(range(1, len(row.numbers) + 1))
    for event, following in pairwise(row.events):
        assert event.removeprefix("job.") not in OVER or following == "job.queued"
    assert len({tuple(module) for module in row.modules}) == len(row.modules)


def seen(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COMPARED} | {"modules": [tuple(module) for module in row.modules]}


def expected(job: JobRule) -> dict[str, Any]:
    assert job.attempts - job.handed_back <= MAX_ATTEMPTS
    return {name: getattr(job, name) for name in COMPARED} | {"modules": sorted(job.modules)}


class Hands(RuleBasedStateMachine):
    """Does what a step says, to the service and to the rules."""

    house: ClassVar[Any]
    packages: ClassVar[dict[Piece, Archive]]

    def __init__(self) -> None:
        super().__init__()
        self.rules = Rules()
        self.attempts: list[Attempt] = []
        self.gone = "job_unknown"
        self.waited = False
        self.house.queue.messages.clear()
        names = ", ".join(table.name for table in Table.metadata.sorted_tables)
        with self.house.database.engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {names}"))
        for key in list(self.house.objects.list()):
            self.house.objects.delete(key)

    @contextmanager
    def asking(self) -> Iterator[Jobs]:
        with self.house.database.unit() as unit:
            yield Jobs(unit, "default", self.house)

    def answer(self, job_id: str, action: str) -> str:
        try:
            with self.asking() as jobs:
                getattr(jobs, action)(job_id)
        except Conflict:
            return "conflict"
        except NotFound:
            return "missing"
        return "done"

    def job_at(self, which: int) -> str:
        """One of those that are there, or the one that was deleted last."""
        there = [*self.rules.jobs, self.gone]
        return there[which % len(there)]

    def attempt_at(self, which: int) -> Attempt:
        """One of the latest; those that hold their job come first."""
        newest = list(reversed(self.attempts))
        latest = sorted(newest, key=lambda attempt: self.held(attempt) is None)
        return latest[which % len(latest)]

    def claim_for(self, job_id: str) -> None:
        expected = self.rules.claim(job_id)
        lease = Lease.claim(self.house.database, self.house.settings, job_id)
        assert (lease and lease.job_id) == (expected and expected.id)
        if lease and expected:
            expected.holder = lease.token
            self.attempts.append(Attempt.of(lease, self.house))

    def lose_at(self, at: int) -> None:
        del self.rules.messages[at], self.house.queue.messages[at]

    def held(self, attempt: Attempt) -> JobRule | None:
        return self.rules.held(attempt.lease.job_id, attempt.lease.token)

    @contextmanager
    def writing(self, attempt: Attempt) -> Iterator[JobRule | None]:
        """The job, if the attempt holds it; if not, what the block writes is refused."""
        job = self.held(attempt)
        if job:
            yield job
        else:
            with pytest.raises(LeaseLostError):
                yield None

    def publish_one(self, attempt: Attempt, number: int) -> None:
        """One of the modules that are left; a stale worker does not know which those are."""
        job, spec = self.held(attempt), attempt.lease.spec
        wanted = [(concern, ratio) for concern in range(len(spec.concerns)) for ratio in spec.ratios]
        if job:
            left = self.rules.left(job)
            assert set(wanted) - attempt.publisher.find_published() == set(left)
        else:
            left = wanted
        if not left:
            return
        piece = left[number % len(left)]
        self.rules.upload(piece, attempt.lease.repairing)
        self.rules.shielded = {piece}
        with self.writing(attempt):
            concern = Concern(id=piece[0], label=LABELS[piece[0]])
            attempt.publisher.publish_module(concern, piece[1], {}, [self.packages[piece]])
        self.rules.shielded = set()
        if job:
            self.rules.publish(job, piece)
