"""The command line `microlith`.

__init__.py   the root: global options, and what the exit code says
session.py    the server, the two outputs, and how a thing is printed
outcome.py    errors to messages and exit codes
jobs.py       submit, watch, list, show, results, cancel, retry, delete
spec.py       a job's specification from flags and files
modules.py    list, show, download, apply
catalog.py    models, datasets, methods
"""

from __future__ import annotations

from typing import Annotated

import typer

import microlith
from microlith.cli import catalog, jobs, modules
from microlith.cli.outcome import EXIT_CODES, Root
from microlith.cli.session import Session

app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
app.add_typer(jobs.app, name="jobs")
app.add_typer(modules.app, name="modules")
app.add_typer(catalog.models, name="models")
app.add_typer(catalog.datasets, name="datasets")
app.command("methods")(catalog.methods)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"microlith {microlith.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="MICROLITH_URL", help="The server; by default this machine's.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="MICROLITH_API_KEY", help="The bearer key.", show_envvar=True)
    ] = None,
    _said: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and stop.")
    ] = False,
) -> None:
    """Break a fine-tuned transformer classifier into small modules, one per concern.

    --url and --key may stand anywhere on the line. Every command takes --json.
    """
    context.obj = Session(url, key)
