"""References: the three ways to name a model or a dataset, `demo:NAME`, `hub:ORG/NAME[@REVISION]`, `path:PLACE`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.domain.errors import InvalidInput

Kind = Literal["demo", "hub", "path"]

_HUB_NAME = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}(?:@[\w./-]{1,128})?", re.ASCII)


@dataclass(frozen=True)
class Reference:
    """A parsed reference: `name` is the demo's name, the hub id or the path; only `hub:` has a revision."""

    kind: Kind
    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str, *, pointer: str, allow_paths: bool) -> Reference:
    """The reference in `text`; InvalidInput at `pointer` when it is malformed, or a path where paths are not served."""
    kind, _, name = text.partition(":")
    if kind == "demo" and name:
        return Reference("demo", name)
    if kind == "hub" and _is_hub_name(name):
        identity, _, revision = name.partition("@")
        return Reference("hub", identity, revision or None)
    if kind == "path" and name:
        return _path(name, pointer, allow_paths)
    raise InvalidInput(
        f"{text!r} is no reference. References are demo:NAME, hub:ORG/NAME[@REVISION]"
        + (" and path:FOLDER_OR_FILE." if allow_paths else "."),
        pointer=pointer,
    )


def among(name: str, known: Iterable[str], *, what: str, pointer: str) -> str:
    """`name`, if it is known; else InvalidInput with what is."""
    choices = sorted(known)
    if name not in choices:
        listed = ", ".join(f"demo:{choice}" for choice in choices)
        raise InvalidInput(f"There is no demo {what} {name!r}. Known: {listed}.", pointer=pointer)
    return name


def _is_hub_name(name: str) -> bool:
    return bool(_HUB_NAME.fullmatch(name)) and ".." not in name and "--" not in name.partition("@")[0]


def _path(name: str, pointer: str, allow_paths: bool) -> Reference:
    if not allow_paths:
        raise InvalidInput(
            "path: references are not served here.",
            hint="They name files on the server's own disk, which only the embedded default reads. Use demo: or hub:.",
            pointer=pointer,
        )
    try:
        there = Path(name).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, an unknown user's home, out of our reach
        there = False
    if not there:
        raise InvalidInput(f"There is nothing at {name!r} on the server.", pointer=pointer)
    return Reference("path", name)
