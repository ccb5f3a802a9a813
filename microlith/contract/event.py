"""Event: one line of a job's history, numbered from 1 without gaps."""

from datetime import datetime
from typing import Any, Literal

from microlith.contract.base import Answer

EventType = Literal[
    "job.queued",
    "job.running",
    "job.phase",
    "job.progress",
    "job.requeued",
    "module.estimated",
    "module.ready",
    "artifact.ready",
    "job.cancelling",
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "job.expired",
]

TERMINAL_EVENTS: frozenset[str] = frozenset({"job.succeeded", "job.failed", "job.cancelled", "job.expired"})


class Event(Answer):
    """What happened, when, and its facts. To resume the stream, pass the last `seq` you read."""

    id: str
    object: Literal["event"] = "event"
    job_id: str
    seq: int
    type: EventType
    data: dict[str, Any]
    created_at: datetime
