"""What the service and its workers write to their logs: each event with its level, when it comes, and what to do.

The page `docs/how-to/watch.md` shows this table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["info", "warning", "error"]


class LogEvent(NamedTuple):
    """What an operator should know of an event."""

    level: Level
    when: str
    todo: str = "Nothing."


LOG_EVENTS = {
    "broker_unreachable": LogEvent(
        "warning",
        "The broker does not answer. Jobs are kept in the database, and are announced again when it is back.",
        "Look at the broker.",
    ),
    "compute_unresponsive": LogEvent(
        "error",
        "A job was cancelled or ran out of time, and its computation did not stop. The worker's process ends.",
        "Nothing: another process takes over. If it comes often, report it.",
    ),
    "dependency_unreachable": LogEvent(
        "warning",
        "The database, the object store or the hub does not answer. A worker tries again for a minute, a caller gets "
        "503.",
        "Look at what `error` names.",
    ),
    "disk_write_failed": LogEvent(
        "error", "The server's own disk is full or cannot be written.", "Free space in the data folder and in `TMPDIR`."
    ),
    "feed_disconnected": LogEvent(
        "warning",
        "The connection that hears of changes is lost; it is opened again every second. Waiting callers hear later.",
        "Look at the database.",
    ),
    "heartbeat_missed": LogEvent(
        "warning",
        "A worker could not renew its lease. If it cannot until the lease ends, another worker takes the job.",
        "Look at the database, and at the network between.",
    ),
    "helper_failed": LogEvent(
        "error", "A helper met an error. The worker that has the job goes on without it.", "Read the traceback."
    ),
    "helper_mismatched": LogEvent(
        "warning",
        "A helper's machine computes other figures than the one that has the job, so it does not help.",
        "Give the workers of a queue the same device and the same versions.",
    ),
    "helper_released": LogEvent("info", "A helper has nothing more to do in a job."),
    "helper_started": LogEvent("info", "A worker helps another with its job."),
    "job_abandoned": LogEvent(
        "warning",
        "The database was away for longer than an attempt waits. The job is queued again, unless this was its last "
        "attempt.",
        "Look at the database.",
    ),
    "job_cancelled": LogEvent("info", "A job has stopped because its owner cancelled it."),
    "job_crashed": LogEvent(
        "error", "A job met an error that Microlith does not know.", "Read the traceback, and report it."
    ),
    "job_failed": LogEvent(
        "warning", "A job has failed; `code` and `detail` are what its owner is told.", "See the error codes."
    ),
    "job_recovery_failed": LogEvent(
        "error", "A job could not be queued again or expired. The next round tries again.", "Read the traceback."
    ),
    "job_released": LogEvent("info", "A worker was told to stop and has given its job back; another goes on with it."),
    "job_started": LogEvent("info", "A worker begins an attempt of a job."),
    "job_succeeded": LogEvent("info", "A job is done."),
    "jobs_expired": LogEvent("info", "Finished jobs are older than the settings keep them, and are deleted."),
    "key_rejected": LogEvent(
        "warning",
        "Somebody sent a wrong key. Each further one from the same address is answered later.",
        "If there are many, block the address.",
    ),
    "lease_lost": LogEvent(
        "warning", "A worker went on with a job that another has by now; it stops and publishes nothing."
    ),
    "object_delete_failed": LogEvent(
        "warning",
        "An object that nothing needs could not be deleted. The next sweep tries again.",
        "Look at the store.",
    ),
    "reader_failed": LogEvent(
        "warning", "The process that reads a caller's files ended without an answer. The caller is told why."
    ),
    "reaper_failed": LogEvent(
        "error", "A round that looks for lost jobs met an error. The next one is made.", "Read the traceback."
    ),
    "reaper_interrupted": LogEvent(
        "warning", "The database does not answer the round that looks for lost jobs.", "Look at the database."
    ),
    "request_failed": LogEvent(
        "error",
        "A request met an error that Microlith does not know; the caller has the same `request_id`.",
        "Read the traceback, and report it.",
    ),
    "schema_mismatched": LogEvent(
        "error",
        "The database is of another release than this worker, which ends.",
        "Run the same release everywhere.",
    ),
    "source_unreadable": LogEvent(
        "error", "What is stored of a registered model or dataset cannot be read.", "Delete it and register it again."
    ),
    "sweep_failed": LogEvent("error", "A sweep met an error. The next one is made.", "Read the traceback."),
    "sweep_interrupted": LogEvent(
        "warning", "The database or the store does not answer the sweep.", "Look at what `error` names."
    ),
    "token_cache_damaged": LogEvent(
        "warning", "Stored tokens of a dataset are damaged, and are made again.", "If it comes often, check the disk."
    ),
    "token_cache_write_failed": LogEvent(
        "warning",
        "Tokens of a dataset could not be stored; the next job makes them again.",
        "Check the cache folder's space and rights.",
    ),
    "worker_lost": LogEvent(
        "warning",
        "A worker has not renewed its lease. Its job is queued again, unless this was its last attempt.",
        "Look whether that worker was killed, for lack of memory perhaps.",
    ),
}
"""Every event, in the order of their names."""
