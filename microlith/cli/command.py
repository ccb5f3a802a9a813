"""How a function becomes a command: with the options that all share, and with flags that are data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any, Protocol

import typer

from microlith.cli.session import CliSession

UrlOption = Annotated[
    str | None, typer.Option("--url", help="The server. Default: MICROLITH_URL, or the one on this machine.")
]
KeyOption = Annotated[str | None, typer.Option("--key", help="The bearer key. Default: MICROLITH_API_KEY.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print only JSON.")]
SHARED = {"url": UrlOption, "key": KeyOption, "as_json": JsonOption}


class Flagged(Protocol):
    """A flag as data; `dotted_name` is the field of the spec that it sets, e.g. `evaluation.limit`."""

    @property
    def dotted_name(self) -> str: ...

    @property
    def parameter(self) -> inspect.Parameter: ...


def remember(context: typer.Context, url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """For a group of commands: what is said before a command's name counts for it."""
    context.obj = _session(context, url, key, as_json)


def command(function: Callable[..., None], flags: Sequence[Flagged] = ()) -> Callable[..., None]:
    """A command of a function whose first argument is the session; the shared options may stand before or after it.

    The flags reach it as `flags`, a dictionary by dotted name; None stands for one that was not given.
    """
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    dotted_names = {flag.parameter.name: flag.dotted_name for flag in flags}

    @wraps(function)
    def run(context: typer.Context, **given: Any) -> None:
        session = _session(context, *(given.pop(name) for name in SHARED))
        if dotted_names:
            given["flags"] = {dotted: given.pop(name) for name, dotted in dotted_names.items()}
        function(session, **given)

    parameters = [
        _keyword("context", typer.Context),
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own if parameter.name != "flags"),
        *(flag.parameter for flag in flags),
        *(_keyword(name, option, False if name == "as_json" else None) for name, option in SHARED.items()),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _session(context: typer.Context, url: str | None, key: str | None, as_json: bool) -> CliSession:
    """What was said so far, with what is said here over it."""
    before = context.find_object(CliSession) or CliSession()
    return replace(before, url=url or before.url, key=key or before.key, as_json=as_json or before.as_json)


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
