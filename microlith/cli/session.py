"""What every command shares: the server, the two outputs, and how a thing is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from microlith.client import Client

AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON and nothing else.")]
JobId = Annotated[str, typer.Argument(help="The job, as `jobs list` names it.", metavar="JOB")]
WIDE = 200
"""Columns where the output is no terminal: a pipe has no edge to wrap at."""


@dataclass(frozen=True)
class Session:
    """Where the server is, as far as the command line says."""

    url: str | None
    key: str | None

    def connect(self) -> Client:
        return Client(self.url, api_key=self.key)


def connect(context: typer.Context) -> Client:
    """A client for the server that the command line, or else the environment, names."""
    session: Session = context.find_object(Session) or Session(None, None)
    return session.connect()


def out() -> Console:
    """For results: the standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def err() -> Console:
    """For progress and remarks: the error output, so that results can be piped."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else WIDE, highlight=False)


def show(table: RenderableType, found: BaseModel | Sequence[BaseModel], as_json: bool) -> None:
    """Print for people, or as JSON: an object, or a list of them."""
    if not as_json:
        out().print(table if found else "None yet.")
    elif isinstance(found, BaseModel):
        typer.echo(found.model_dump_json(indent=2))
    else:
        typer.echo(json.dumps([_plain(one) for one in found], indent=2, ensure_ascii=False))


def _plain(one: BaseModel) -> Any:
    return one.model_dump(mode="json")
