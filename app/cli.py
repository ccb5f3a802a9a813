"""`microlith-server`: run the service, a worker, the migrations or the demo."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from app import logs
from app.db.migrations import migrate as run_migrations
from app.db.unit import Database
from app.server import house, serving
from app.server import serve as run_server
from app.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

say = Console(stderr=True, highlight=False)

Host = Annotated[
    str | None, typer.Option(help="The address to listen on. Outside loopback, MICROLITH_API_KEY must be set.")
]
Port = Annotated[int | None, typer.Option(help="The port. Default: MICROLITH_PORT, or 8000.")]
AllowPath = Annotated[
    list[Path] | None,
    typer.Option(help="A folder that `path:` references may name. Can be repeated. Default: the working directory."),
]
DataDir = Annotated[Path | None, typer.Option(help="The folder where the embedded default keeps everything.")]


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    worker: Annotated[bool, typer.Option(help="Run a worker beside the embedded broker.")] = True,
    allow_path: AllowPath = None,
    token: Annotated[
        bool, typer.Option(help="Without a key, require the printed token from other users of this machine.")
    ] = True,
) -> None:
    """Run the web service. Without URLs in the environment it starts its own database, broker, store and worker."""
    settings = _settings(
        host=host, port=port, data_dir=data_dir, allow_paths=allow_path or None, ask_token=None if token else False
    )
    logs.configure(as_json=settings.log_json)
    _end_in_order_at_sigterm()
    with _clearly(), house(settings, worker=worker) as complete:
        shown = f"/?token={complete.token.get_secret_value()}" if complete.token else ""
        url = f"http://{complete.host}:{complete.port}"
        say.print(f"Microlith on [bold]{url}{shown}[/] (docs: /docs, stop: Ctrl-C)", soft_wrap=True)
        say.print(f"All data is kept in {complete.data_dir.expanduser().resolve()}.")
        run_server(complete)


@app.command()
def demo(data_dir: DataDir = None) -> None:
    """Run the main job on the demo model through the real HTTP API, and open the results."""
    settings = _settings(data_dir=data_dir)
    logs.configure(as_json=settings.log_json, level=logging.WARNING)
    folder = settings.data_dir.expanduser().resolve() / "demo"
    with _clearly(), house(settings) as complete, serving(complete) as url:
        story = [sys.executable, "-m", "worker.demo", "--url", url, "--folder", str(folder)]
        key = {"MICROLITH_API_KEY": complete.secret} if complete.secret else {}
        outcome = subprocess.run(story, env=os.environ | key, check=False)  # of its own: it opens modules with torch
    raise typer.Exit(outcome.returncode)


@app.command()
def worker() -> None:
    """Run a worker on the database, broker and object store named in the environment."""
    os.execv(sys.executable, [sys.executable, "-m", "worker"])


@app.command()
def migrate() -> None:
    """Migrate the database of MICROLITH_DATABASE_URL to the newest schema."""
    settings = _settings()
    logs.configure(as_json=settings.log_json)
    if settings.database_url is None:
        raise typer.BadParameter("set MICROLITH_DATABASE_URL to the PostgreSQL to migrate")
    run_migrations(Database(settings.database_url).engine)
    say.print("The database is at head.")


def _end_in_order_at_sigterm() -> None:
    """SIGTERM ends the program as Ctrl-C does: the worker hands its job back while its servers are still there."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))


@contextmanager
def _clearly() -> Iterator[None]:
    """A server that cannot be started says why in a sentence, not in a traceback."""
    try:
        yield
    except OSError as error:
        say.print(f"[red]{error}", markup=True, soft_wrap=True)
        raise typer.Exit(1) from None


def _settings(**given: Any) -> Settings:
    """The environment's settings with what the command line says; a bad one ends the program with a clear sentence."""
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(str(part) for part in fault["loc"]) or "settings"
            say.print(f"[red]{name}: {fault['msg'].removeprefix('Value error, ')}")
        raise typer.Exit(2) from None
    return settings
