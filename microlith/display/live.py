"""A running job, followed to its end: a live bar on a terminal, a line for every step elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from microlith.contract import Job
from microlith.display import figures


def follow(snapshots: Iterable[Job], console: Console) -> Job:
    """Show a job from each snapshot to the next; answers the last one. `snapshots` is what Client.watch yields."""
    shown = _bar(snapshots, console) if console.is_terminal else _lines(snapshots, console)
    *_, last = shown
    return last


def _bar(snapshots: Iterable[Job], console: Console) -> Iterator[Job]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[concerns]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", style="dim"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=100.0, concerns="", eta="")
        for job in snapshots:
            progress.update(
                task, description=_doing(job), completed=_percent(job), concerns=_concerns(job), eta=_eta(job)
            )
            yield job


def _lines(snapshots: Iterable[Job], console: Console) -> Iterator[Job]:
    said: tuple[object, ...] = ()
    for job in snapshots:
        news = (job.state, job.phase, job.queue_position, job.concerns.succeeded)
        if news != said:
            eta = _eta(job)
            tail = f", {eta}" if eta else ""
            console.print(f"{_doing(job)}: {_percent(job):.0f} %, {_concerns(job)}{tail}", highlight=False)
        said = news
        yield job


def _doing(job: Job) -> str:
    if job.queue_position:
        return f"queued, number {job.queue_position}"
    again = f" (attempt {job.attempts})" if job.attempts > 1 and not job.finished else ""
    return f"{job.phase if job.phase and job.state == 'running' else job.state}{again}"


def _percent(job: Job) -> float:
    return 100.0 if job.state == "succeeded" else job.progress.percent


def _concerns(job: Job) -> str:
    return f"{job.concerns.succeeded}/{job.concerns.total} concerns"


def _eta(job: Job) -> str:
    return f"{figures.duration(job.progress.eta_seconds)} left" if job.progress.eta_seconds and not job.finished else ""
