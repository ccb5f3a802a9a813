"""How a function becomes a command: with the options that all share, and with flags that are told as data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, Protocol

import typer

from microlith.cli.session import Session

Url = Annotated[
    str | None, typer.Option("--url", help="The server. Default: MICROLITH_URL, or the one on this machine.")
]
Key = Annotated[str | None, typer.Option("--key", help="The bearer key. Default: MICROLITH_API_KEY.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON.")]
SHARED = {"url": Url, "key": Key, "as_json": AsJson}


class Flagged(Protocol):
    """A flag told as data."""

    @property
    def place(self) -> str: ...

    @property
    def parameter(self) -> inspect.Parameter: ...


def remember(context: typer.Context, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """For a group of commands: what is said before a command's name counts for it."""
    context.obj = _session(context, url, key, as_json)


def command(function: Callable[..., None], flags: Sequence[Flagged] = ()) -> Callable[..., None]:
    """A command of a function whose first argument is the session; the shared options may stand before or after it.

    The flags reach it as `flags`, a dictionary by place; None stands for one that was not given.
    """
    own = [one for one in inspect.signature(function, eval_str=True).parameters.values() if one.name != "flags"][1:]
    places = {flag.parameter.name: flag.place for flag in flags}

    @wraps(function)
    def run(context: typer.Context, **given: Any) -> None:
        session = _session(context, *(given.pop(name) for name in SHARED))
        if places:
            given["flags"] = {place: given.pop(name) for name, place in places.items()}
        function(session, **given)

    parameters = [_plain("context", typer.Context), *own, *(flag.parameter for flag in flags), *_shared()]
    run.__signature__ = inspect.Signature(_keywords(parameters))  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _session(context: typer.Context, url: str | None, key: str | None, as_json: bool) -> Session:
    """What was said so far, with what is said here over it."""
    before = context.find_object(Session) or Session()
    return replace(before, url=url or before.url, key=key or before.key, as_json=as_json or before.as_json)


def _shared() -> list[inspect.Parameter]:
    return [_plain(name, kind, False if name == "as_json" else None) for name, kind in SHARED.items()]


def _plain(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _keywords(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
