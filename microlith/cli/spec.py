"""A job's specification from a file and from flags. It is the server that checks it, and tells the choices."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml


def read_spec(source: str | None) -> dict[str, Any]:
    """The JSON or YAML object in a file, or on the standard input for `-`; empty without a source."""
    if source is None:
        return {}
    try:
        spec = _parse(sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise typer.BadParameter(f"{source} cannot be read as YAML or JSON: {error}", param_hint="SPEC") from error
    if not isinstance(spec, dict):
        raise typer.BadParameter("the file must hold one object", param_hint="SPEC")
    return spec


def spec_from(source: str | None, flags: Mapping[str, Any], settings: Sequence[str] | None) -> dict[str, Any]:
    """The file's spec with the flags laid over it, and over that the settings, `PLACE=VALUE`."""
    parsers: dict[str, Callable[[Any], Any]] = {
        "concerns": parse_concerns,
        "ratio": parse_ratio,
        "labels": parse_labels,
        "dataset.labels": lambda given: dict(_pairs(given, "--map")) or None,
        "dataset.splits": lambda given: dict(_pairs(given, "--split")) or None,
        "dataset.carve": parse_carve,
    }
    given = {name: parsers[name](value) if name in parsers else value or None for name, value in flags.items()}
    given["reuse"] = flags.get("reuse")
    given |= {name: _json_or_text(value) for name, value in _pairs(settings, "--set")}
    return overlay(read_spec(source), given)


def overlay(spec: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with flags laid over it. A flag is named by the spec's field, with dots; None was not given."""
    merged: dict[str, Any] = json.loads(json.dumps(spec))
    for dotted_name, value in flags.items():
        if value is not None:
            *parents, name = dotted_name.split(".")
            _descend(merged, parents)[name] = value
    return merged


def _descend(spec: dict[str, Any], parents: Sequence[str]) -> dict[str, Any]:
    inner = spec
    for parent in parents:
        value = inner.get(parent)
        if not isinstance(value, dict):  # a dataset may be a bare reference; null stands for the defaults
            inner[parent] = {"ref": value} if isinstance(value, str) else {}
        inner = inner[parent]
    return inner


def parse_concerns(given: Sequence[str] | None) -> list[int | str] | None:
    """Labels as they are, digits as ids."""
    return [int(name) if name.isdecimal() else name for name in given] if given else None


def parse_ratio(given: Sequence[float] | None) -> float | list[float] | None:
    """One number, or the list of a sweep."""
    return None if not given else given[0] if len(given) == 1 else list(given)


def parse_labels(given: Sequence[str] | None) -> dict[str, str] | None:
    """`key=value` marks."""
    return dict(_pairs(given, "--label")) or None


def parse_carve(given: Sequence[str] | None) -> dict[str, Any] | None:
    """`test=0.2` and `seed=1`."""
    return {name: _json_or_text(value) for name, value in _pairs(given, "--carve")} or None


def _pairs(given: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in given or ()]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise typer.BadParameter(f"{key!r} is not of the form KEY=VALUE", param_hint=flag)
    return [(key, value) for key, _, value in pairs]


def _json_or_text(value: str) -> Any:
    """A value that is not JSON is a text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


class _Core(yaml.SafeLoader):
    """YAML 1.2's core schema: `no` is a label and `2:4` a scope, not a boolean and a number of base 60."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, Loader=_Core)
