"""The command line `microlith`.

__init__.py   the root: the everyday commands by short names, and the groups
command.py    how a function becomes a command; the options that all share
session.py    the server, the two outputs, and how a thing is printed
outcome.py    errors to messages and exit codes
jobs.py       submit, watch, list, show, results, compare, cancel, retry, repair, delete
flags.py      the flags of submit, as data
facts.py      what the contract says of each field of a spec
spec.py       a job's specification from flags and files
template.py   init: a commented specification
modules.py    list, show, download, try, push, export, combine, apply
catalog.py    models, datasets, methods
doctor.py     is everything there that a job needs
choices.py    what the shell offers
"""

from __future__ import annotations

from typing import Annotated

import typer

import microlith
from microlith.cli import catalog, jobs, modules
from microlith.cli.choices import recent_jobs
from microlith.cli.command import JsonOption, KeyOption, UrlOption, command, remember
from microlith.cli.doctor import doctor
from microlith.cli.outcome import Root, table_of_exit_codes
from microlith.cli.session import CliSession
from microlith.cli.template import init

app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=table_of_exit_codes(),
)


def show(
    session: CliSession,
    name: Annotated[
        str, typer.Argument(metavar="ID", help="job_…, mod_…, mdl_… or dst_….", autocompletion=recent_jobs)
    ],
) -> None:
    """A job, module, model or dataset, by its id."""
    sheets = {"mod": modules.show_module, "mdl": catalog.show_model, "dst": catalog.show_dataset}
    sheets.get(name.partition("_")[0], jobs.show_job)(session, name)


EVERYDAY = ("submit", "watch", "list", "results", "compare", "cancel")
for name in EVERYDAY:
    app.command(name, rich_help_panel="Every day")(jobs.COMMANDS[name])
app.command("show", rich_help_panel="Every day")(command(show))
app.command("download", rich_help_panel="Every day")(modules.COMMANDS["download"])
app.command("init", rich_help_panel="To begin")(command(init))
app.command("doctor", rich_help_panel="To begin")(command(doctor))
app.command("methods", rich_help_panel="To begin")(catalog.methods)
app.add_typer(catalog.models, name="models", rich_help_panel="To begin")
app.add_typer(catalog.datasets, name="datasets", rich_help_panel="To begin")
app.add_typer(jobs.app, name="jobs", rich_help_panel="Everything")
app.add_typer(modules.app, name="modules", rich_help_panel="Everything")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"microlith {microlith.__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Break a fine-tuned transformer classifier into small modules, one per concern.

    --url, --key and --json may stand before or after any command.
    """
    remember(context, url, key, as_json)
