"""What a job is doing, in words and in numbers."""

from __future__ import annotations

from microlith.contract import Job
from microlith.display import numbers

MARKS = 16
"""As many concerns have a mark each."""


def sentence(job: Job) -> str:
    """What a job is doing, how far it is, and how long it will take."""
    left = eta(job)
    return f"{doing(job)}: {percent(job):.0f} %, {concerns(job)}{f', {left}' if left else ''}"


def doing(job: Job) -> str:
    """The phase of a running job, the place of a waiting one, else the state."""
    if job.queue_position:
        return f"queued, number {job.queue_position}"
    again = f" (attempt {job.attempts})" if job.attempts > 1 and not job.finished else ""
    return f"{job.phase if job.phase and job.state == 'running' else job.state}{again}"


def percent(job: Job) -> float:
    """How much of its work is done."""
    return 100.0 if job.state == "succeeded" else job.progress.percent


def marks(job: Job) -> str:
    """A mark for each concern: done, failed, to come; of many concerns a mark stands for several."""
    counts = job.concerns
    scale = min(1.0, MARKS / max(counts.total, 1))
    done, failed = (int(count * scale) for count in (counts.succeeded, counts.failed))
    return "■" * done + "✗" * failed + "□" * (round(counts.total * scale) - done - failed)


def concerns(job: Job) -> str:
    """How many concerns have their modules, of how many."""
    return f"{job.concerns.succeeded}/{job.concerns.total} concerns"


def eta(job: Job) -> str:
    """The time left, as far as the server can tell."""
    return f"{numbers.duration(job.progress.eta_seconds)} left" if job.progress.eta_seconds and not job.finished else ""
