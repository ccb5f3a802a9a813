"""The command line's reference, made of the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from tables import table

from app.cli import app as server
from microlith.cli import app as client

MARKUP = re.compile(r"\[/?(?:bold|dim|italic|red|green|yellow|cyan)\]")


def page() -> str:
    """Every command of both programs."""
    programs = (("microlith", client), ("microlith-server", server))
    return "\n\n".join(part for name, app in programs for part in _commands(typer.main.get_command(app), name))


def _commands(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", None)
    level = "##" if " " not in name else "###"
    yield f"{level} {name}\n\n{_said(command, name)}"
    if rows := list(_parameters(command)):
        yield table(("argument", "what"), rows)
    for word, child in (inner or {}).items():
        if not child.hidden:
            yield from _commands(child, f"{name} {word}")


def _said(command: Any, name: str) -> str:
    """The help, its example lines as code."""
    paragraphs = MARKUP.sub("", inspect.cleandoc(command.help or "")).split("\n\n")
    program = name.partition(" ")[0]
    return "\n\n".join(f"```text\n{part}\n```" if part.startswith(f"{program} ") else part for part in paragraphs)


def _parameters(command: Any) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            name = parameter.metavar or parameter.name.upper()
        else:
            flags = [*parameter.opts, *parameter.secondary_opts]
            metavar = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
            name = ", ".join(flags) + metavar
        yield f"`{name}`", MARKUP.sub("", getattr(parameter, "help", "") or "")
