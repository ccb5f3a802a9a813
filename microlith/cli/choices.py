"""The names of jobs and modules on the command line, and what the shell offers to complete them."""

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
"""How many seconds a key press may wait for the server."""


def recent_jobs(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs, each with its state and model, as completions."""
    session = context.find_object(CliSession) or CliSession()
    try:
        with session.connect(timeout=PATIENCE, retry=Retry(attempts=1)) as client:
            newest = list(itertools.islice(client.jobs(page=OFFERED), OFFERED))
    except MicrolithClientError:
        return []
    return [
        (job.id, f"{job.state}, {numbers.source_name(job.spec.model, job.resolved.model)}")
        for job in newest
        if job.id.startswith(incomplete)
    ]


JobArgument = Annotated[
    str, typer.Argument(help="The id of the job, as `list` shows it.", metavar="JOB", autocompletion=recent_jobs)
]
ModuleArgument = Annotated[
    str, typer.Argument(help="The id of the module, as `modules list` shows it.", metavar="MODULE")
]
StateOption = Annotated[State | None, typer.Option(help="Only jobs in this state.")]
KindOption = Annotated[Kind | None, typer.Option(help="Only jobs of this kind. Tries are listed only with this flag.")]
