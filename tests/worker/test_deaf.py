"""Compute that does not listen is ended with its process: real processes, a real database."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from app.services.backend import Backend
from app.services.jobs import Jobs
from app.services.reaper import reap
from app.settings import Settings
from microlith.contract import Job
from tests.work import submit
from worker.attempt.run import DEAF

ROOT = Path(__file__).parents[2]

ATTEMPT = """
import ctypes, sys, time, types

def decompose(spec, attempt, settings):
    {deed}

sys.modules["worker.kinds.decompose"] = types.SimpleNamespace(decompose=decompose)
from app.services.backend import Backend
from app.settings import Settings
from tests.work import run
run(Backend.open(Settings()), sys.argv[1])
"""
SLEEPS = "time.sleep(60)"
HOLDS_PYTHONS_LOCK = "ctypes.PyDLL(None).sleep(60)"


def attempt(settings: Settings, job_id: str, deed: str) -> subprocess.Popen[bytes]:
    """A process that runs the job and, instead of computing it, does `deed`."""
    impatient = {"heartbeat_seconds": 0.1, "cancel_grace_seconds": 0.5, "lease_seconds": 1.0}
    environment = os.environ | settings.model_copy(update=impatient).environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", ATTEMPT.format(deed=deed), job_id], env=environment)


def read(backend: Backend, job_id: str) -> Job:
    with backend.database.unit() as unit:
        return Jobs(unit, "default", backend).get(job_id)


def wait_for(backend: Backend, job_id: str, state: str) -> Job:
    until = time.monotonic() + 30
    while (job := read(backend, job_id)).state != state:
        assert time.monotonic() < until, job
        time.sleep(0.02)
    return job


def test_a_cancel_that_the_compute_does_not_meet_ends_its_process(backend: Backend, settings: Settings) -> None:
    job_id = submit(backend)
    with attempt(settings, job_id, SLEEPS) as process:
        wait_for(backend, job_id, "running")
        with backend.database.unit() as unit:
            Jobs(unit, "default", backend).cancel(job_id)
        assert process.wait(20) == DEAF
    assert read(backend, job_id).state == "cancelled"


def test_a_deadline_that_the_compute_does_not_meet_ends_its_process(backend: Backend, settings: Settings) -> None:
    job_id = submit(backend, deadline_seconds=8)
    with attempt(settings, job_id, SLEEPS) as process:
        assert process.wait(20) == DEAF
    job = read(backend, job_id)
    assert (job.state, job.error and job.error.code) == ("failed", "DEADLINE_EXCEEDED")


def test_a_process_that_cannot_even_beat_is_ended_by_the_watchdog_and_its_job_goes_on(
    backend: Backend, settings: Settings
) -> None:
    job_id = submit(backend)
    with attempt(settings, job_id, HOLDS_PYTHONS_LOCK) as process:
        assert process.wait(20) == 1
    reap(backend)
    assert wait_for(backend, job_id, "queued").attempts == 1


def test_an_attempt_that_listens_is_left_alone(backend: Backend, settings: Settings) -> None:
    job_id = submit(backend)
    with attempt(settings, job_id, "[(time.sleep(0.1), attempt.check()) for _ in range(30)]") as process:
        assert process.wait(20) == 0
    assert read(backend, job_id).state == "succeeded"
