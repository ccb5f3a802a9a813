"""What may happen to a job, on a real PostgreSQL: claims, leases, stale workers, cancels, deadlines, lost workers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from app.db.tables import JobRow
from app.db.unit import Unit
from app.domain.errors import Conflict, DeadlineExceeded
from app.queue import Queue
from app.services import lifecycle
from app.services.backend import Backend
from app.services.jobs import Jobs
from app.services.reaper import reap, run_reaper
from microlith.contract import Event, Job
from tests.work import claim, finish, publish, publisher_of, report, submit
from worker.attempt.lease import CancelledError, Lease, LeaseLostError


def read(backend: Backend, job_id: str) -> Job:
    with backend.database.unit() as unit:
        return Jobs(unit, "default", backend).get(job_id)


def history(backend: Backend, job_id: str) -> list[Event]:
    with backend.database.unit() as unit:
        return Jobs(unit, "default", backend).events(job_id, 0, 1000)


def let_lease_lapse(backend: Backend, job_id: str) -> None:
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        assert job is not None
        assert job.lease_expires_at is not None
        job.lease_expires_at -= timedelta(hours=1)


def test_a_job_is_claimed_once_however_many_workers_try(backend: Backend) -> None:
    job_id = submit(backend)
    start = threading.Barrier(8)
    won: list[Lease] = []

    def worker() -> None:
        start.wait()
        lease = Lease.claim(backend.database, backend.settings, job_id)
        if lease:
            won.append(lease)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert read(backend, job_id).attempts == 1


def test_a_claim_of_an_unknown_or_finished_job_gives_nothing(backend: Backend) -> None:
    job_id = submit(backend)
    finish(backend, claim(backend, job_id))
    assert Lease.claim(backend.database, backend.settings, job_id) is None
    assert Lease.claim(backend.database, backend.settings, "job_unknown") is None


def test_a_message_for_a_job_that_is_taken_serves_the_next_in_the_queue(backend: Backend) -> None:
    taken, low, high = submit(backend), submit(backend, priority="low"), submit(backend, priority="high")
    claim(backend, taken)
    assert claim(backend, taken).job_id == high
    assert claim(backend, taken).job_id == low
    assert Lease.claim(backend.database, backend.settings, taken) is None


def wait_long(backend: Backend, *job_ids: str) -> None:
    """As if the jobs had been queued an hour ago."""
    with backend.database.unit() as unit:
        for job_id in job_ids:
            job = unit.jobs.lock(job_id)
            assert job is not None
            job.queued_at -= timedelta(hours=1)


def test_lost_messages_are_rung_again_once_and_not_while_any_is_waiting(backend: Backend) -> None:
    jobs = [submit(backend) for _ in range(3)]
    with backend.queue.celery.connection_for_write() as connection:
        connection.default_channel.queue_purge("gpu")
    reap(backend)
    assert backend.queue.depth() == 0, "they have not waited for long"
    wait_long(backend, *jobs)
    reap(backend)
    assert backend.queue.depth() == 3
    for _ in range(5):
        reap(backend)
    assert backend.queue.depth() == 3


def test_a_broker_that_is_away_does_not_stop_the_reaper(backend: Backend) -> None:
    wait_long(backend, submit(backend))
    reap(replace(backend, queue=Queue("redis://127.0.0.1:9/0")))


@contextmanager
def full(broker: str) -> Iterator[None]:
    """While the block runs the broker answers, but keeps nothing."""
    with redis.Redis.from_url(broker) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


def test_a_broker_that_takes_no_message_keeps_nobody_from_a_job_that_is_rung_for_later(
    backend: Backend, broker: str
) -> None:
    with full(broker):
        job_id = submit(backend)
        wait_long(backend, job_id)
        reap(backend)
    assert read(backend, job_id).state == "queued"
    backend.queue.silent_until = 0.0
    reap(backend)
    assert backend.queue.depth() >= 1


def test_a_job_that_cannot_be_rescued_keeps_no_other_from_it(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [submit(backend) for _ in range(3)]
    for job_id in jobs:
        claim(backend, job_id)
        let_lease_lapse(backend, job_id)
    abandon = lifecycle.abandon

    def stumble(unit: Unit, job: JobRow, *most: int) -> None:
        if job.id == jobs[0]:
            raise LookupError("its row makes no sense")
        abandon(unit, job, *most)

    monkeypatch.setattr(lifecycle, "abandon", stumble)
    reap(backend)
    assert [read(backend, job_id).state for job_id in jobs] == ["running", "queued", "queued"]


def test_the_reaper_makes_its_next_round_whatever_broke_the_last_one(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = threading.Semaphore(0)

    def broken(*_: object, **__: object) -> None:
        rounds.release()
        raise LookupError("nobody thought of this")

    for work in ("reap", "sweep"):
        monkeypatch.setattr(f"app.services.reaper.{work}", broken)
    hasty = backend.settings.model_copy(update={"reaper_seconds": 0.01, "sweep_hours": 1e-6})

    async def live() -> bool:
        async with run_reaper(replace(backend, settings=hasty)):
            return await asyncio.to_thread(lambda: all(rounds.acquire(timeout=5) for _ in range(6)))

    with capture_logs():  # a traceback that is laid out for a terminal takes longer than a round
        assert asyncio.run(live())


def test_a_stale_worker_writes_nothing(backend: Backend, tmp_path: Path) -> None:
    job_id = submit(backend)
    stale = claim(backend, job_id)
    let_lease_lapse(backend, job_id)
    reap(backend)
    fresh = claim(backend, job_id)

    with pytest.raises(LeaseLostError):
        publish(publisher_of(backend, stale), tmp_path, 0, report(0.9))
    with pytest.raises(LeaseLostError):
        finish(backend, stale)

    assert read(backend, job_id).state == "running"
    finish(backend, fresh)
    assert read(backend, job_id).state == "succeeded"
    with backend.database.unit() as unit:
        assert unit.modules.of_job(job_id) == []


def test_a_worker_that_falls_silent_loses_the_job_to_the_queue(backend: Backend) -> None:
    job_id = submit(backend)
    claim(backend, job_id)
    let_lease_lapse(backend, job_id)
    reap(backend)
    assert read(backend, job_id).state == "queued"
    assert [event.type for event in history(backend, job_id)] == ["job.queued", "job.running", "job.requeued"]


def test_a_job_that_costs_every_attempt_its_worker_fails_as_worker_lost(backend: Backend) -> None:
    job_id = submit(backend)
    for _ in range(backend.settings.max_attempts):
        claim(backend, job_id)
        let_lease_lapse(backend, job_id)
        reap(backend)
    job = read(backend, job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.code == "WORKER_LOST"
    assert job.attempts == backend.settings.max_attempts


def test_a_job_that_workers_handed_back_has_cost_none_of_them(backend: Backend) -> None:
    job_id = submit(backend)
    for _ in range(backend.settings.max_attempts):
        with claim(backend, job_id).write() as (unit, job):
            lifecycle.move(unit, job, "release", reason=lifecycle.STOPPED)
    claim(backend, job_id)
    let_lease_lapse(backend, job_id)
    reap(backend)
    assert read(backend, job_id).state == "queued"


def test_a_renewed_lease_is_not_taken_away(backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)
    let_lease_lapse(backend, job_id)
    lease.renew()
    reap(backend)
    assert read(backend, job_id).state == "running"
    lease.checkpoint()


def test_a_queued_job_is_cancelled_at_once(backend: Backend) -> None:
    job_id = submit(backend)
    with backend.database.unit() as unit:
        assert Jobs(unit, "default", backend).cancel(job_id).state == "cancelled"


def test_a_running_job_stops_at_the_checkpoint_after_the_next_heartbeat(backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)
    with backend.database.unit() as unit:
        assert Jobs(unit, "default", backend).cancel(job_id).state == "cancelling"
    lease.checkpoint()
    lease.renew()
    with pytest.raises(CancelledError):
        lease.checkpoint()


def test_a_cancelling_job_whose_worker_is_lost_is_cancelled(backend: Backend) -> None:
    job_id = submit(backend)
    claim(backend, job_id)
    with backend.database.unit() as unit:
        Jobs(unit, "default", backend).cancel(job_id)
    let_lease_lapse(backend, job_id)
    reap(backend)
    assert read(backend, job_id).state == "cancelled"


def test_a_finished_job_cannot_be_cancelled(backend: Backend) -> None:
    job_id = submit(backend)
    finish(backend, claim(backend, job_id))
    with backend.database.unit() as unit, pytest.raises(Conflict):
        Jobs(unit, "default", backend).cancel(job_id)


def test_a_deadline_that_passes_in_the_queue_expires_the_job(backend: Backend) -> None:
    job_id = submit(backend, deadline_seconds=60)
    with backend.database.unit() as unit:
        job = unit.jobs.lock(job_id)
        assert job is not None
        assert job.deadline_at is not None
        job.deadline_at -= timedelta(hours=1)
    assert Lease.claim(backend.database, backend.settings, job_id) is None
    job_now = read(backend, job_id)
    assert job_now.state == "expired"
    assert job_now.error is not None
    assert job_now.error.code == DeadlineExceeded.code


def test_a_deadline_that_passes_while_running_is_met_at_a_checkpoint(backend: Backend) -> None:
    lease = claim(backend, submit(backend, deadline_seconds=60))
    assert lease.seconds_left is not None
    assert 50 < lease.seconds_left <= 60
    lease.seconds_left = 0.0
    lease.settings = lease.settings.model_copy(update={"heartbeat_seconds": 0.01})
    heard = threading.Event()
    with lease.heartbeat(deaf=lambda _: None):
        while lease.stop is None and not heard.wait(0.01):
            pass
    with pytest.raises(DeadlineExceeded, match="within 60 s"):
        lease.checkpoint()


def test_a_retried_job_starts_over_but_keeps_its_modules(backend: Backend, tmp_path: Path) -> None:
    job_id = submit(backend, concerns=["act", "animal"])
    lease = claim(backend, job_id)
    publish(publisher_of(backend, lease), tmp_path, 0, report(0.9, 0.8))
    with lease.write() as (unit, job):
        lifecycle.fail(unit, job, DeadlineExceeded("too slow"))
    with backend.database.unit() as unit:
        retried = Jobs(unit, "default", backend).retry(job_id)
    assert (retried.state, retried.attempts, retried.error, retried.finished_at) == ("queued", 0, None, None)
    assert publisher_of(backend, claim(backend, job_id)).find_published() == {(0, 0.5)}


def test_events_are_numbered_without_gaps_however_many_write(backend: Backend) -> None:
    job_id = submit(backend)
    lease = claim(backend, job_id)

    def write() -> None:
        for _ in range(10):
            with lease.write() as (unit, job):
                unit.events.append(job, "job.progress", {}, unit.jobs.now())

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in history(backend, job_id)] == list(range(1, 43))


def test_a_transaction_that_fails_rings_no_bell_and_leaves_no_row(backend: Backend) -> None:
    rung = []
    with pytest.raises(RuntimeError), backend.database.unit() as unit:
        unit.after_commit(lambda: rung.append(1))
        raise RuntimeError
    assert rung == []
