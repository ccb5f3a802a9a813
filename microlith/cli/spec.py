"""A job's specification from a file and from flags. It is the server that checks it, and tells the choices."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer


def read_spec(source: str | None) -> dict[str, Any]:
    """The JSON object in a file, or on the standard input for `-`; empty without a source."""
    if source is None:
        return {}
    try:
        spec = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{source} cannot be read as JSON: {error}", param_hint="--spec") from error
    if not isinstance(spec, dict):
        raise typer.BadParameter("the file must hold one JSON object", param_hint="--spec")
    return spec


def overlay(spec: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with flags laid over it. A flag is named by its dotted place in the spec; None was not given."""
    merged: dict[str, Any] = json.loads(json.dumps(spec))
    for place, value in flags.items():
        if value is not None:
            *parents, name = place.split(".")
            _descend(merged, parents)[name] = value
    return merged


def _descend(spec: dict[str, Any], parents: Sequence[str]) -> dict[str, Any]:
    inner = spec
    for parent in parents:
        found = inner.get(parent)
        if not isinstance(found, dict):  # a dataset may be a bare reference; null stands for the defaults
            inner[parent] = {"ref": found} if isinstance(found, str) else {}
        inner = inner[parent]
    return inner


def concerns(given: Sequence[str] | None) -> list[int | str] | None:
    """Labels as they are, digits as ids."""
    return [int(name) if name.isdecimal() else name for name in given] if given else None


def ratio(given: Sequence[float] | None) -> float | list[float] | None:
    """One number, or the list of a sweep."""
    return None if not given else given[0] if len(given) == 1 else list(given)


def settings(given: Sequence[str] | None) -> dict[str, Any]:
    """`PLACE=VALUE` for any place of the spec; a value that is not JSON is a text."""
    return {place: _json_or_text(value) for place, value in _pairs(given, "--set")}


def labels(given: Sequence[str] | None) -> dict[str, str] | None:
    """`key=value` marks."""
    return dict(_pairs(given, "--label")) or None


def _pairs(given: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in given or ()]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise typer.BadParameter(f"{key!r} is not of the form KEY=VALUE", param_hint=flag)
    return [(key, value) for key, _, value in pairs]


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
