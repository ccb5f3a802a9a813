"""The doorbell: names of the tasks and the one place that rings. A message carries a job's id and nothing else.

The database is the truth. A message that is lost is rung again by the reaper; one that comes twice does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from celery import Celery, group
from kombu.entity import Queue as KombuQueue
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from app.domain.queues import QUEUES
from microlith.contract import Kind

RUN_JOB = "microlith.run_job"
HELP_JOB = "microlith.help_job"

PRIORITIES: dict[str, int] = {"low": 0, "normal": 1, "high": 2}
"""A spec's priority as a number: higher goes first, in the queue's order and in the broker's."""

QUIET_SECONDS = 5.0

BROKER_FAULTS = (KombuError, RedisError, OSError)
"""A broker that is away, and one that answers but takes nothing: full, read-only, of another password."""

log = structlog.get_logger()


def celery_app(broker_url: str) -> Celery:
    """A Celery application on this broker; both sides of the queue use this one configuration."""
    app = Celery("microlith", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=QUEUES["decompose"],
        task_acks_late=False,  # a lost doorbell is rung again by the reaper; a doubled one costs a fork
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for its broker as long as that takes
        broker_transport_options={
            "socket_timeout": 3,  # a black-holed publish fails instead of hanging the request
            "socket_connect_timeout": 3,
            "retry_on_timeout": False,
            "priority_steps": list(range(len(PRIORITIES))),
            "queue_order_strategy": "priority",
        },
    )
    return app


class Queue:
    """Rings the doorbell. After a broker did not answer, nothing is rung for a while: no request waits for it again."""

    def __init__(self, broker_url: str) -> None:
        self.celery = celery_app(broker_url)
        self.silent_until = 0.0

    def enqueue(self, job_id: str, priority: int, kind: Kind = "decompose") -> None:
        """Tell the workers that a job waits. A broker that is away is no error: the reaper rings again."""
        options = {"queue": QUEUES[kind], "priority": _urgency(priority), "retry": False}
        self._ring(lambda: self.celery.send_task(RUN_JOB, args=(job_id,), **options))

    def call_help(self, job_id: str, helpers: int, priority: int) -> None:
        """Tell so many workers that a running job has modules to be made.

        One that comes too late does nothing, and where none comes the job is made without.
        """
        options = {"queue": QUEUES["decompose"], "priority": _urgency(priority), "retry": False}
        calls = group((self.celery.signature(HELP_JOB, args=(job_id,)) for _ in range(helpers)), app=self.celery)
        self._ring(lambda: calls.apply_async(**options))

    def depth(self, kind: Kind = "decompose") -> int:
        """Messages in this kind's queue that no worker has taken. Raises when the broker does not answer."""
        with self.celery.connection_for_read() as connection:
            queue = KombuQueue(QUEUES[kind], channel=connection.default_channel)
            return int(queue.queue_declare().message_count)

    def check(self) -> None:
        """Raises when the broker does not answer."""
        with self.celery.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)

    def _ring(self, send: Callable[[], object]) -> None:
        if time.monotonic() < self.silent_until:
            return
        try:
            send()
        except BROKER_FAULTS as error:
            self.silent_until = time.monotonic() + QUIET_SECONDS
            log.warning("broker_unreachable", error=str(error))


def _urgency(priority: int) -> int:
    """For Redis 0 is the most urgent."""
    return max(PRIORITIES.values()) - priority
