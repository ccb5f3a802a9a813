"""A cancel stops the work within seconds, wherever it is and whatever it does."""

from __future__ import annotations

import time

from tests.faults.site import Site
from tests.faults.sites import first_on
from tests.faults.test_faults_workers import PHASES

AT_MOST_SECONDS = 5.0


def cancelled_within(site: Site, job_id: str, seconds: float = AT_MOST_SECONDS) -> None:
    began = time.monotonic()
    site.post(job_id, "cancel")
    site.ends(job_id, "cancelled")
    assert time.monotonic() - began < seconds


def test_a_job_is_cancelled_in_any_phase(site: Site) -> None:
    site.light(FAULTS_TASKS_PER_CHILD="25")
    for phase in PHASES:
        job_id = site.submit(labels={"linger": phase})
        site.reaches(job_id, phase)
        cancelled_within(site, job_id)
        assert site.attempts(job_id) == 1


def test_a_job_in_the_queue_is_cancelled_at_once_and_never_starts(site: Site) -> None:
    job_id, other = site.submit(), site.submit()
    assert site.post(job_id, "cancel").state == "cancelled"
    site.light()
    site.ends(other)
    assert site.attempts(job_id) == 0


def test_a_computation_that_hangs_is_ended_with_its_process_and_the_worker_goes_on(site: Site) -> None:
    worker = site.standing("light")
    job_id = site.submit(labels={"stand": "scoring"})
    site.stands(job_id)
    cancelled_within(site, job_id)
    site.ends(site.submit())
    assert worker.alive


@first_on("servers")
def test_a_computation_that_hangs_past_its_deadline_is_ended_too(site: Site) -> None:
    site.standing("light")
    site.ends(site.submit())  # the worker is there: a deadline counts from the request
    job_id = site.submit(labels={"stand": "scoring"}, deadline_seconds=8)
    site.stands(job_id)
    job = site.ends(job_id, "failed", seconds=30)
    assert job.error is not None
    assert job.error.code == "DEADLINE_EXCEEDED"


def test_a_job_cancelled_while_its_worker_is_dead_ends_as_cancelled(site: Site) -> None:
    doomed = site.standing("light")
    job_id = site.submit(labels={"stand": "pruning"})
    site.stands(job_id)
    doomed.kill()
    assert site.post(job_id, "cancel").state == "cancelling"
    site.ends(job_id, "cancelled", seconds=15)
