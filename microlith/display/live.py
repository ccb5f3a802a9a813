"""A running job, followed to its end: a live bar on a terminal or in a notebook, a line for every step elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from microlith.contract import Job
from microlith.display import notebook, progress

Show: TypeAlias = Callable[[Job], object]
"""Shows a job as it is now, in the place of what it showed before."""


def follow(snapshots: Iterable[Job], console: Console) -> Job:
    """Show a job from each snapshot to the next; answers the last one. `snapshots` is what Client.watch yields."""
    with watching(console) as show:
        for job in snapshots:
            show(job)
    return job


@contextmanager
def watching(console: Console | None = None, *, quiet: bool = False) -> Iterator[Show]:
    """A place to show a job: the cell of a notebook, a bar on a terminal, lines elsewhere; nowhere if `quiet`."""
    if quiet:
        yield lambda _job: None
    elif console is None and notebook.is_here():
        yield notebook.cell()
    elif (console or _errors()).is_terminal:
        with _bar(console or _errors()) as show:
            yield show
    else:
        yield _lines(console or _errors())


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TextColumn("{task.fields[marks]}"),
        TextColumn("{task.fields[concerns]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}", style="dim"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=100.0, marks="", concerns="", eta="")
        yield lambda job: bar.update(
            task,
            description=progress.doing(job),
            completed=progress.percent(job),
            marks=progress.marks(job),
            concerns=progress.concerns(job),
            eta=progress.eta(job),
        )


def _lines(console: Console) -> Show:
    last: list[tuple[object, ...]] = [()]

    def show(job: Job) -> None:
        news = (job.state, job.phase, job.queue_position, job.concerns.succeeded)
        if news != last[0]:
            console.print(progress.sentence(job), highlight=False, markup=False)
        last[0] = news

    return show


def _errors() -> Console:
    return Console(stderr=True, highlight=False)
