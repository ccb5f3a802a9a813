"""Workers that are killed, fall behind, are told to stop or live in another hour: the job goes on elsewhere, once."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from typing import Any

import pytest

from microlith.contract import Phase
from tests.faults.site import Site
from tests.faults.sites import first_on
from tests.faults.specs import FULL, LIGHT, REAL, Kind
from tests.faults.watching import wait_for

PHASES: tuple[Phase, ...] = ("resolving", "sampling", "scoring", "pruning", "evaluating", "exporting", "verifying")


@first_on("servers")
def test_jobs_whose_worker_is_killed_in_any_phase_are_finished_by_another(site: Site) -> None:
    outlive(site, "light", LIGHT, PHASES)


@first_on("servers")
@pytest.mark.timeout(400 if FULL else 180)
def test_jobs_whose_worker_is_killed_while_it_computes_are_finished_by_another(site: Site) -> None:
    outlive(site, "real", REAL, PHASES if FULL else ("scoring", "verifying"))


def outlive(site: Site, kind: Kind, spec: dict[str, Any], phases: Sequence[Phase]) -> None:
    """Kill a worker in each of these phases, of a job each; others finish what it had begun."""
    jobs = []
    for phase in phases:
        doomed = site.standing(kind)
        jobs.append(site.submit(spec, labels={"stand": phase}))
        site.stands(jobs[-1], seconds=60)
        assert site.job(jobs[-1]).phase == phase
        doomed.kill()
    for _ in range(2):
        site.worker(kind)
    for job_id in jobs:
        job = site.ends(job_id, seconds=120)
        assert job.attempts == 2
        assert [module.concern.label for module in site.modules(job_id)] == spec["concerns"]


@first_on("servers")
def test_a_job_that_costs_every_worker_its_life_fails_keeps_what_it_has_and_is_resumed_by_a_retry(site: Site) -> None:
    job_id = site.submit(labels={"stand": "exporting", "stand_after": "1", "stand_attempts": "3"})
    for attempt in (1, 2, 3):
        doomed = site.standing("light")
        site.stands(job_id, attempt)
        doomed.kill()
    job = site.ends(job_id, "failed")
    assert job.error is not None
    assert job.error.code == "WORKER_LOST"
    (kept,) = site.modules(job_id)
    site.light()
    site.post(job_id, "retry")
    site.ends(job_id)
    modules = site.modules(job_id)
    assert [module.concern.label for module in modules] == ["act", "animal"]
    assert modules[0] == kept.model_copy(update={"others_own": modules[0].others_own})


@first_on("servers")
@pytest.mark.parametrize("phase", ["scoring", "verifying"])
def test_a_worker_that_was_away_and_comes_back_late_changes_nothing(site: Site, phase: Phase) -> None:
    stale = site.standing("light", FAULTS_UNWATCHED="yes")
    job_id = site.submit(labels={"stand": phase, "stand_seconds": "1"})
    site.stands(job_id)
    stale.signal(signal.SIGSTOP)
    site.light()
    site.ends(job_id)
    before = site.job(job_id), site.modules(job_id), site.events(job_id)
    stale.signal(signal.SIGCONT)
    wait_for(lambda: "lease_lost" in stale.said, 20, "the stale worker's insight")
    assert (site.job(job_id), site.modules(job_id), site.events(job_id)) == before


@first_on("servers")
def test_a_worker_told_to_stop_under_load_hands_its_job_on_at_once(site: Site) -> None:
    leaving = site.light()
    jobs = [site.submit(labels={"pace": pace}) for pace in ("0.6", "0.1", "0.1")]  # a short one would be finished
    site.running(jobs[0])
    other = site.light()
    leaving.terminate()
    wait_for(lambda: not leaving.alive, 10, "the end of the worker that was told to stop")
    for job_id in jobs:
        site.ends(job_id)
    assert other.alive
    requeued = [event for job_id in jobs for event in site.events(job_id) if event.type == "job.requeued"]
    assert [event.data["reason"] for event in requeued] == ["worker stopped"]


@first_on("servers")
def test_a_job_that_follows_another_has_its_process_at_once(site: Site) -> None:
    site.light()
    site.ends(site.submit())
    waits = []
    for _ in range(7):
        job = site.ends(site.submit())
        assert job.started_at is not None
        waits.append((job.started_at - job.created_at).total_seconds())
    assert sorted(waits)[3] < 2, waits


@pytest.mark.parametrize("hours", [-1, 1] if FULL else [1])
def test_no_worker_clock_decides_anything(site: Site, hours: int) -> None:
    began = time.time()
    site.light(FAULTS_CLOCK=str(3600 * hours))
    fast, slow = site.submit(), site.submit(labels={"pace": "0.4"}, deadline_seconds=60)
    for job_id in (fast, slow):
        job = site.ends(job_id)
        assert job.attempts == 1, "its lease was renewed, and nobody thought it lapsed"
        assert job.started_at is not None
        assert job.finished_at is not None
        assert began - 5 < job.started_at.timestamp() <= job.finished_at.timestamp() < time.time() + 5
