"""What a soak does to a site: one function for each kind of fault, each leaving everything running again, or about to.

A fault takes the site and the dice. Whatever it does is over within seconds, so that faults of several kinds meet the
same job.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from redis.exceptions import RedisError
from sqlalchemy import text

from app.queue import PRIORITIES, Queue
from microlith.errors import MicrolithClientError
from tests.faults.site import Server, Site
from tests.faults.workers import Worker

Fault = Callable[[Site, Random], None]

STOPPED_SECONDS = 5.0
"""Longer than the lease of the site's workers."""


def worker_killed(site: Site, dice: Random) -> None:
    """SIGKILL to a worker and its child."""
    _one(site, dice).kill()


def child_killed(site: Site, dice: Random) -> None:
    """SIGKILL to the process that computes; its parent lives and forks another."""
    worker = _one(site, dice)
    children = Path(f"/proc/{worker.group}/task/{worker.group}/children")
    with contextlib.suppress(OSError):
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)


def worker_frozen(site: Site, dice: Random) -> None:
    """SIGSTOP until its lease has lapsed; then it goes on and finds that its job is somebody else's."""
    worker = _one(site, dice)
    worker.signal(signal.SIGSTOP)
    threading.Timer(STOPPED_SECONDS, worker.signal, [signal.SIGCONT]).start()


def worker_told_to_stop(site: Site, dice: Random) -> None:
    """SIGTERM, as at every deployment: it hands its job back."""
    worker = _one(site, dice)
    with contextlib.suppress(ProcessLookupError):
        worker.terminate()


def database_killed(site: Site, dice: Random) -> None:
    """kill -9 of PostgreSQL, which then recovers from its log."""
    _kill_and_start(site.postgres, dice)


def broker_killed(site: Site, dice: Random) -> None:
    """kill -9 of Valkey."""
    _kill_and_start(site.valkey, dice)


def broker_emptied(site: Site, _dice: Random) -> None:
    """Every message is lost."""
    with contextlib.suppress(RedisError), site.redis() as broker:
        broker.flushall()


def broker_silent(site: Site, dice: Random) -> None:
    """The line to the broker swallows everything for a while."""
    site.broker_line.set("dead")
    time.sleep(dice.uniform(1, 4))
    site.broker_line.set("open")


def store_stopped(site: Site, dice: Random) -> None:
    """The object store is away for a while."""
    _kill_and_start(site.store, dice)


def api_killed(site: Site, _dice: Random) -> None:
    """kill -9 of the web service, with its reaper, in the middle of requests."""
    site.kill_api()
    site.start_api()


def messages_doubled(site: Site, dice: Random) -> None:
    """Messages come again, of jobs that wait, run or are over."""
    with site.database.engine.connect() as connection:
        known = connection.scalars(text("SELECT id FROM jobs ORDER BY id")).all()
    queue = Queue(site.broker_url)
    with queue.celery:
        for job_id in dice.sample(known, min(5, len(known))):
            queue.enqueue(job_id, PRIORITIES["normal"])


def job_cancelled(site: Site, dice: Random) -> None:
    """A caller changes its mind about a job that is waiting or running."""
    unfinished = text("SELECT id FROM jobs WHERE state IN ('queued', 'running') ORDER BY id")
    with site.database.engine.connect() as connection:
        jobs = connection.scalars(unfinished).all()
    if jobs:
        with contextlib.suppress(MicrolithClientError), site.client() as client:  # it may be over by now
            client.cancel(dice.choice(jobs))


FAULTS: tuple[Fault, ...] = (
    worker_killed,
    child_killed,
    worker_frozen,
    worker_told_to_stop,
    database_killed,
    broker_killed,
    broker_emptied,
    broker_silent,
    store_stopped,
    api_killed,
    messages_doubled,
    job_cancelled,
)


def _one(site: Site, dice: Random) -> Worker:
    return dice.choice(site.workers)


def _kill_and_start(server: Server, dice: Random) -> None:
    server.kill()
    time.sleep(dice.uniform(0, 2))
    server.start()
