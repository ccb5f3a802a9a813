"""The web service is killed while it takes jobs in: none is lost, none is doubled."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from sqlalchemy import text

from microlith.contract import Job
from tests.faults.site import Site
from tests.faults.sites import first_on
from tests.faults.specs import FULL, LIGHT


@first_on("embedded")
@pytest.mark.parametrize("turn", range(10 if FULL else 1))
def test_kills_at_random_moments_of_submissions_lose_no_job_and_double_none(site: Site, turn: int) -> None:
    """A hundred of them in each of ten turns, or 30 in one."""
    kills = 50 if FULL else 15
    outcomes = [json.loads(answer) for answer in submit_under_kills(site, kills, [2 * turn, 2 * turn + 1])]
    assert sum(outcome["killed"] for outcome in outcomes) == 2 * kills
    answers = {key: job_id for outcome in outcomes for key, job_id in outcome["answers"].items()}
    with site.database.engine.connect() as connection:
        known = dict(connection.execute(text("SELECT key, job_id FROM idempotency_keys")).all())
        jobs = set(connection.scalars(text("SELECT id FROM jobs")))
    assert {key: known[key] for key in answers} == answers
    assert jobs == set(known.values()), "each job has its request"
    assert len(jobs) == len(known), "each request has its job"
    for _ in range(2):
        site.light(FAULTS_TASKS_PER_CHILD="25")
    site.all_end(list(jobs), 170)


@first_on("servers")
def test_a_web_service_killed_under_submissions_loses_and_doubles_none(site: Site) -> None:
    jobs: list[Job] = []

    def submit() -> None:
        with site.client() as client:
            for _ in range(10):
                jobs.append(client.submit(LIGHT))

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2 if FULL else 1):
        while threads[0].is_alive() and not jobs:
            threads[0].join(0.01)
        site.kill_api()
        site.start_api()
    for thread in threads:
        thread.join()
    assert len({job.id for job in jobs}) == 30
    with site.database.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM jobs")) == 30
    site.light(FAULTS_TASKS_PER_CHILD="25")
    site.all_end([job.id for job in jobs], 60)


def submit_under_kills(site: Site, kills: int, seeds: list[int]) -> list[str]:
    """What a submitter with each of these seeds printed; they run at the same time."""
    command = [sys.executable, "-m", "tests.faults.submitter", str(kills)]
    running = [
        subprocess.Popen([*command, str(seed)], env=site.environment, stdout=subprocess.PIPE, text=True)
        for seed in seeds
    ]
    try:
        return [process.communicate(timeout=170)[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
