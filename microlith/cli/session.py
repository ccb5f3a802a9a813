"""What every command shares: the server, the two outputs, and how a thing is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from microlith.client import Client

WIDE = 200
"""Columns where the output is no terminal: a pipe has no edge to wrap at."""


@dataclass(frozen=True)
class CliSession:
    """Where the server is, as far as the command line says, and whether people or programs read the output."""

    url: str | None = None
    key: str | None = None
    as_json: bool = False

    def connect(self, **options: Any) -> Client:
        """A client for the server that the command line, or else the environment, names."""
        return Client(self.url, api_key=self.key, **options)

    def show(self, table: RenderableType, answer: BaseModel | Sequence[BaseModel]) -> None:
        """Print for people, or as JSON: an object, or a list of them."""
        if self.as_json:
            self.dump([_plain(model) for model in answer] if isinstance(answer, Sequence) else _plain(answer))
        else:
            out().print(table if answer else "The list is empty.")

    def dump(self, content: Any) -> None:
        """Print as JSON."""
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))

    def say(self, text: str, content: Any) -> None:
        """Print a line as it is, or as JSON what it tells."""
        if self.as_json:
            self.dump(content)
        else:
            out().print(text, soft_wrap=True, markup=False)

    def remark(self, text: str) -> None:
        """Tell people something beside the result."""
        if not self.as_json:
            err().print(text, soft_wrap=True, markup=False)


def out() -> Console:
    """For results: the standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)


def err() -> Console:
    """For progress and remarks: the error output, so that results can be piped."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else WIDE, highlight=False)


def _plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json")
