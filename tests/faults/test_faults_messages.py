"""Messages that are lost, come twice or never arrive; the database alone says what there is to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.queue import PRIORITIES, Queue
from tests.faults.site import Site
from tests.faults.sites import first_on
from tests.faults.specs import FULL
from tests.faults.watching import wait_for


def ring(site: Site, job_id: str, times: int = 1) -> None:
    """The job's message, once more."""
    with broker_of(site) as queue:
        for _ in range(times):
            queue.enqueue(job_id, PRIORITIES["normal"])


@contextmanager
def broker_of(site: Site) -> Iterator[Queue]:
    """The broker, not through the line that tests cut."""
    queue = Queue(site.broker_url)
    with queue.celery:
        yield queue


@pytest.mark.parametrize("times", [2, 3] if FULL else [3])
def test_a_message_that_comes_several_times_runs_its_job_once(site: Site, times: int) -> None:
    job_id = site.submit(labels={"pace": "0.2"})
    ring(site, job_id, times - 1)
    site.light(), site.light()
    job = site.ends(job_id)
    ring(site, job_id)
    with broker_of(site) as queue:
        wait_for(lambda: queue.depth() == 0, 10, "an empty queue")
    assert job.attempts == site.attempts(job_id) == 1


def test_workers_that_race_for_many_jobs_run_each_once(site: Site) -> None:
    jobs = [site.submit() for _ in range(200 if FULL else 20)]
    for job_id in jobs[::5]:
        ring(site, job_id)
    for _ in range(2):
        site.light(FAULTS_TASKS_PER_CHILD="25")
    site.all_end(jobs, 170)
    assert {site.job(job_id).attempts for job_id in jobs} == {1}
    assert sum(site.attempts(job_id) for job_id in jobs) == len(jobs)


@pytest.mark.parametrize("end", ["killed", "stopped"] if FULL else ["killed"])
def test_a_broker_that_is_away_for_a_while_is_not_missed(site: Site, end: str) -> None:
    site.light()
    before = site.submit(labels={"pace": "0.4"})
    site.running(before)
    site.valkey.kill() if end == "killed" else site.valkey.stop()
    meanwhile = site.submit()
    assert site.ends(before).attempts == 1
    assert site.job(meanwhile).state == "queued"
    site.valkey.start()
    assert site.ends(meanwhile).attempts == 1


def test_a_broker_that_forgets_everything_loses_no_job(site: Site) -> None:
    jobs = [site.submit() for _ in range(5)]
    with site.redis() as broker:
        broker.flushall()
    site.light()
    site.all_end(jobs, 60)


@first_on("servers")
def test_a_broker_behind_a_dead_line_keeps_no_caller_waiting(site: Site) -> None:
    site.light()
    site.ends(site.submit())
    site.broker_line.set("dead")
    began = time.monotonic()
    first = site.submit()
    waited = time.monotonic() - began
    more = [site.submit() for _ in range(3)]
    waited_after = time.monotonic() - began - waited
    site.broker_line.set("open")
    assert waited < 8
    assert waited_after < 3, "after one silence the line is left alone for a while"
    site.all_end([first, *more], 90)


def test_a_line_to_the_broker_that_is_cut_is_taken_up_again(site: Site) -> None:
    site.light()
    first = site.submit(labels={"pace": "0.3"})
    site.running(first)
    site.broker_line.set("cut")
    second = site.submit()
    site.broker_line.set("open")
    site.all_end([first, second], 60)
