"""The tasks on the queues: an id comes in, a job is run, or helped with."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import Any

import structlog
from billiard import current_process
from celery import Celery, signals

from app.domain.errors import SchemaMismatch
from app.queue import HELP_JOB, RUN_JOB
from app.services.backend import Backend
from app.settings import Settings
from worker.compute.memory import for_good

GROWN_KILOBYTES = 1_000_000
"""The peak of a child that is not given another job: torch and a small model take 600,000."""


log = structlog.get_logger()


def register(celery: Celery, settings: Settings) -> None:
    """Teach a worker the tasks. Each child process runs one job and ends, so that all its memory returns.

    Where the settings let it run several (tries, which follow one another quickly), it ends once it has grown.
    """
    celery.conf.update(
        worker_pool="worker.pool:TaskPool",
        worker_concurrency=1,
        worker_max_tasks_per_child=settings.jobs_per_child,
        worker_max_memory_per_child=GROWN_KILOBYTES,
        worker_disable_prefetch=True,  # a busy worker holds no message that another could take
        worker_proc_alive_timeout=120,  # seconds a child may spend importing torch
        worker_soft_shutdown_timeout=3,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )

    @signals.worker_process_init.connect(weak=False)
    def warm_up(**_: Any) -> None:
        with for_good():
            prepare(settings)

    @celery.task(name=RUN_JOB)
    def run_job(job_id: str) -> None:
        from worker.attempt.run import run
        from worker.kinds import story_of

        with closing(Backend.open(settings, create_store=False)) as backend:
            if _may_work_on(backend):
                run(backend, job_id, story_of)

    @celery.task(name=HELP_JOB)
    def help_job(job_id: str) -> None:
        from worker.kinds.help_with_job import help_with

        with closing(Backend.open(settings, create_store=False)) as backend:
            if _may_work_on(backend):
                help_with(backend, job_id)


def prepare(settings: Settings) -> None:
    """Set up a fresh process, and import what a job needs while nobody waits for it."""
    from worker.compute import device
    from worker.kinds import decompose, predict  # noqa: F401

    device.prepare(settings)
    if "predict" in settings.kinds:
        predict.rehearse()


def _may_work_on(backend: Backend) -> bool:
    """Whether the database is of this release. If it is not any more, the worker ends; what waits is rung for again."""
    try:
        backend.check_schema()
    except SchemaMismatch as error:
        log.error("schema_mismatched", detail=error.detail)
        if current_process().daemon:  # a child of the pool
            os.kill(os.getppid(), signal.SIGTERM)
        return False
    return True
