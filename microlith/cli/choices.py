"""What stands for a thing on the command line, and what the shell offers for it."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from microlith.cli.session import CliSession
from microlith.client import Retry
from microlith.contract import Kind, State
from microlith.display import numbers
from microlith.errors import MicrolithClientError

OFFERED = 50
PATIENCE = 1.5
"""Seconds that a key press may wait for the server."""


def recent_jobs(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs, each with its state and model, as completions."""
    session = context.find_object(CliSession) or CliSession()
    try:
        with session.connect(timeout=PATIENCE, retry=Retry(attempts=1)) as client:
            newest = list(itertools.islice(client.jobs(page=OFFERED), OFFERED))
    except MicrolithClientError:
        return []
    return [
        (job.id, f"{job.state}, {numbers.called(job.spec.model, job.resolved.model)}")
        for job in newest
        if job.id.startswith(incomplete)
    ]


JobArgument = Annotated[
    str, typer.Argument(help="The job, as `list` names it.", metavar="JOB", autocompletion=recent_jobs)
]
ModuleArgument = Annotated[str, typer.Argument(help="The module, as `modules list` names it.", metavar="MODULE")]
StateOption = Annotated[State | None, typer.Option(help="Only jobs in this state.")]
KindOption = Annotated[Kind | None, typer.Option(help="Only jobs of this kind; tries are listed by it alone.")]
