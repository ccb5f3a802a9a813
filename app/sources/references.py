"""References: the ways to name a source, `demo:NAME`, `hub:ORG/NAME[@REVISION]`, `path:PLACE`, or a registered id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from app.domain.errors import InvalidInput
from app.sources.allowed_paths import Allowed, real_place

ReferenceKind = Literal["demo", "hub", "path", "upload"]

_ID = re.compile(r"(mdl|dst|upl)_[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_NOUNS = {
    "mdl": ("model", "GET /v1/models"),
    "dst": ("dataset", "GET /v1/datasets"),
    "upl": ("complete upload of boundary samples", "GET /v1/uploads"),
}
_ENDINGS = re.compile(r"\.(zip|tar|tgz|tar\.gz|csv|jsonl?|ndjson|parquet)$", re.IGNORECASE)
_HUB_NAME = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}(?:@[\w./-]{1,128})?", re.ASCII)


@dataclass(frozen=True)
class Reference:
    """A parsed reference: `name` is the demo's name, the hub id, the path or the id; only `hub:` has a revision.

    A path has its real `place` on this disk. So has what was uploaded, for as long as the shelf it stands on is held,
    and what it was `called` when it came. `refused` is why a model that a worker has opened lacks units, if one has.
    """

    kind: ReferenceKind
    name: str
    revision: str | None = None
    place: Path | None = None
    called: str | None = None
    refused: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        """What people call it: the last part of its name, without the ending of a file that was uploaded."""
        if self.called is None:
            return self.name.rstrip("/").rpartition("/")[2]
        return _ENDINGS.sub("", self.called) or self.called

    def __str__(self) -> str:
        if self.kind == "upload":
            return self.name
        return f"{self.kind}:{self.name}" + (f"@{self.revision}" if self.revision else "")


Shelf = Mapping[str, Reference]
"""What the ids of a caller's registered sources stand for: a place on this disk, or a name on the hub."""

NOTHING: Shelf = {}


def is_registered(text: str) -> bool:
    """Whether `text` is the id of a registered source, known or not."""
    return bool(_ID.fullmatch(text))


def parse(text: str, *, pointer: str, allow_paths: Allowed, shelf: Shelf = NOTHING) -> Reference:
    """The reference in `text`; InvalidInput at `pointer` when it is malformed, or a path that is not allowed.

    An id must stand on the `shelf`.
    """
    if is_registered(text):
        return shelf.get(text) or _unknown(text, pointer)
    kind, _, name = text.partition(":")
    if kind == "demo" and name:
        return Reference("demo", name)
    if kind == "hub" and _is_hub_name(name):
        identity, _, revision = name.partition("@")
        return Reference("hub", identity, revision or None)
    if kind == "path" and name:
        return _path(name, pointer, allow_paths)
    raise InvalidInput(
        f"{text!r} is not a reference. References are demo:NAME, hub:ORG/NAME[@REVISION]"
        + (", path:FOLDER_OR_FILE" if allow_paths else "")
        + " and the ids of your registered models and datasets.",
        pointer=pointer,
    )


def hub_reference(name: str, *, pointer: str) -> Reference:
    """The reference of `ORG/NAME[@REVISION]`; InvalidInput where it cannot be one."""
    if not _is_hub_name(name):
        raise InvalidInput(f"{name!r} is not a name on the hub. Write ORG/NAME or ORG/NAME@REVISION.", pointer=pointer)
    return parse(f"hub:{name}", pointer=pointer, allow_paths=False)


def among(name: str, known: Iterable[str], *, what: str, pointer: str) -> str:
    """`name`, if it is known; else InvalidInput with what is."""
    choices = sorted(known)
    if name not in choices:
        listed = ", ".join(f"demo:{choice}" for choice in choices)
        raise InvalidInput(f"There is no demo {what} {name!r}. Known: {listed}.", pointer=pointer)
    return name


def _unknown(text: str, pointer: str) -> NoReturn:
    what, listed = _NOUNS[text[:3]]
    raise InvalidInput(f"You have no {what} {text}.", hint=f"{listed} lists yours.", pointer=pointer)


def _is_hub_name(name: str) -> bool:
    return bool(_HUB_NAME.fullmatch(name)) and ".." not in name and "--" not in name.partition("@")[0]


def _path(name: str, pointer: str, allow_paths: Allowed) -> Reference:
    if not allow_paths:
        raise InvalidInput(
            "This server does not accept path: references.",
            hint="They name files on the server's own disk, and only the embedded default reads those. Use demo: "
            "or hub:.",
            pointer=pointer,
        )
    return Reference("path", name, place=real_place(name, allow_paths, pointer=pointer))
