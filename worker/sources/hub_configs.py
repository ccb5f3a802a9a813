"""The configurations that the README of a data set states, read as data: names, splits, and patterns of file names.

A pattern is held against the names that the hub lists for the commit, and against nothing else: one that leads out of
the repository matches none of them. Strangers wrote the README, so a confined process reads it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from app import confined
from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources.splits import POINTER

README = "README.md"
MAX_README_BYTES = 20_000_000
MAX_CONFIGURATIONS = 10_000
MAX_PATTERNS = 200
"""With wildcards, of one configuration."""

MAX_PATHS = 20_000
"""Patterns of one configuration, those without wildcards among them."""

_FENCE = "---"
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Configuration:
    """One configuration. Without `splits`, its files are those below `folder`, by their usual names."""

    name: str
    default: bool
    folder: str
    splits: dict[str, list[str]]
    """Split to patterns of file names, from the root of the repository on."""

    def files(self, names: Iterable[str]) -> dict[str, list[str]]:
        """Split to those of the names that its patterns match, in the order of the patterns; without empty splits."""
        known = sorted(names)
        found = {split: _matching(patterns, known) for split, patterns in self.splits.items()}
        return {split: files for split, files in found.items() if files}


def read_configurations(readme: Path) -> list[Configuration]:
    """The configurations of a README; none where it states none or cannot be read."""
    if readme.stat().st_size > MAX_README_BYTES:
        raise ResourceLimit(f"{README} has more than {MAX_README_BYTES:,} bytes.", pointer=f"{POINTER}/ref")
    reading = confined.Reading(__name__, {"readme": str(readme)}, DatasetInvalid, f"{POINTER}/ref", reads=[readme])
    return [Configuration(**stated) for stated in confined.run(reading)]


def answer(question: dict[str, Any]) -> list[dict[str, Any]]:
    """The facts of each configuration, confined. Raises ResourceLimit for more of them than are told."""
    front = _front_matter(Path(question["readme"]).read_text(encoding="utf-8", errors="replace"))
    try:
        document = yaml.load(front, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # texts, lists and mappings
    except (yaml.YAMLError, RecursionError):
        return []
    stated = document.get("configs") if isinstance(document, dict) else None
    configurations = [one for one in stated if isinstance(one, dict)] if isinstance(stated, list) else []
    if len(configurations) > MAX_CONFIGURATIONS:
        raise ResourceLimit(f"{README} states more than {MAX_CONFIGURATIONS:,} configurations.")
    return [_facts(one) for one in configurations]


def _front_matter(text: str) -> str:
    """What stands between the first two lines of three hyphens."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return ""
    end = next((at for at, line in enumerate(lines[1:], 1) if line.rstrip() == _FENCE), 0)
    return "\n".join(lines[1:end])


def _facts(stated: Mapping[str, Any]) -> dict[str, Any]:
    folder = _text(stated.get("data_dir")).strip("/")
    name = _text(stated.get("config_name")) or "default"
    splits: dict[str, list[str]] = {}
    for split, paths in _data_files(stated.get("data_files")):
        at = [f"{folder}/{path}" if folder else path for path in (path.removeprefix("./") for path in paths)]
        splits.setdefault(split, []).extend(at)
    everything = [path for paths in splits.values() for path in paths]
    if len(everything) > MAX_PATHS or sum(map(_is_wild, everything)) > MAX_PATTERNS:
        raise ResourceLimit(
            f"A configuration of {README} has more than {MAX_PATHS:,} file names, or {MAX_PATTERNS} with wildcards."
        )
    return {"name": name, "default": _text(stated.get("default")) == "true", "folder": folder, "splits": splits}


def _data_files(stated: Any) -> Iterator[tuple[str, list[str]]]:
    """Splits with their patterns, in each of the ways in which the hub lets them be written."""
    if isinstance(stated, Mapping):
        yield from ((_text(split), _texts(paths)) for split, paths in stated.items())
    elif isinstance(stated, list) and all(isinstance(one, Mapping) for one in stated):
        yield from ((_text(one.get("split")) or "train", _texts(one.get("path"))) for one in stated)
    elif stated:
        yield "train", _texts(stated)


def _texts(value: Any) -> list[str]:
    return [text for one in (value if isinstance(value, list) else [value]) if (text := _text(one))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_wild(pattern: str) -> bool:
    return not _WILD.isdisjoint(pattern)


def _matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    known = set(names)
    found = [
        name
        for pattern in patterns
        for name in (names if _is_wild(pattern) else [pattern])
        if name in known and (name == pattern or _matches(PurePosixPath(name).parts, pattern.split("/")))
    ]
    return list(dict.fromkeys(found))


def _matches(name: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a name are those of a pattern, in which `**` stands for any number of folders."""
    reached = {0}
    for part in pattern:
        if part == "**":
            reached = set(range(min(reached, default=len(name) + 1), len(name) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(name) and fnmatch.fnmatchcase(name[at], part)}
    return len(name) in reached
