"""PostgreSQL goes away under a running job, and comes back."""

from __future__ import annotations

from itertools import product

import httpx
import pytest

from tests.faults.site import Site
from tests.faults.specs import FULL
from tests.faults.watching import ready, wait_for

PHASES, ENDS = ("scoring", "verifying"), ("killed", "stopped")


@pytest.mark.parametrize(("phase", "end"), list(product(PHASES, ENDS) if FULL else zip(PHASES, ENDS, strict=True)))
def test_a_job_outlives_a_restart_of_its_database(site: Site, phase: str, end: str) -> None:
    site.light()
    job_id = site.submit(labels={"pace": "0.3"})
    site.reaches(job_id, phase)
    site.postgres.kill() if end == "killed" else site.postgres.stop()
    site.postgres.start()
    wait_for(lambda: ready(site.url), 20, "readiness")
    job = site.ends(job_id)
    assert job.attempts == 1, "the worker waited for the database"


def test_a_request_meets_a_database_that_is_away_with_an_answer_it_can_repeat(site: Site) -> None:
    site.light()
    site.postgres.kill()
    answers = [httpx.get(f"{site.url}/v1/jobs", timeout=20), httpx.get(f"{site.url}/readyz", timeout=20)]
    site.postgres.start()
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].headers["content-type"] == "application/problem+json"
    wait_for(lambda: ready(site.url), 20, "readiness")
    site.ends(site.submit())
