"""From a form that was sent to the spec it says, as the API would be sent it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.web.views.fields import Field

Pairs = Sequence[tuple[str, str]]
"""The fields of a form, in order, as browsers send them."""


def spec_of(pairs: Pairs, fields: Iterable[Field]) -> dict[str, Any]:
    """Nested by the pointers that are the controls' names; what was left empty or at its default is left out.

    What cannot be read as its kind stays a text, for the contract to refuse at its place.
    """
    sent: dict[str, list[str]] = {}
    for name, value in pairs:
        if value.strip():
            sent.setdefault(name, []).append(value.strip())
    spec: dict[str, Any] = {}
    for field in fields:
        values = sent.get(field.pointer, [])
        held = ", ".join(values) if field.kind != "flag" else "true" if values else "false"
        if (values or field.kind == "flag") and held != field.default:
            _put(spec, field.pointer, _value(field, values))
    return _shortened(spec)


def _put(spec: dict[str, Any], pointer: str, value: Any) -> None:
    *path, last = pointer.split("/")[1:]
    for step in path:
        spec = spec.setdefault(step, {})
    spec[last] = value


def _value(field: Field, values: list[str]) -> Any:
    numbers = [_number(part) for part in _parts(values)]
    readings: dict[str, Any] = {
        "flag": bool(values),
        "number": next(iter(numbers), None),
        "numbers": numbers[0] if len(numbers) == 1 else numbers,
        "choices": values,
        "list": _parts(values),
        "json": _json(values[0]) if values else None,
    }
    return readings.get(field.kind, next(iter(values), None))


def _parts(values: list[str]) -> list[str]:
    """Separated by commas, semicolons or lines."""
    return [part.strip() for value in values for part in re.split(r"[,;\n]", value) if part.strip()]


def _number(text: str) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    """Labels may also be written KEY=VALUE, comma by comma."""
    try:
        return json.loads(text)
    except ValueError:
        pairs = [part.partition("=") for part in _parts([text])]
        return {key.strip(): value.strip() for key, _, value in pairs} if all(sep for _, sep, _ in pairs) else text


def _shortened(spec: dict[str, Any]) -> dict[str, Any]:
    """A dataset that says nothing but its reference is that reference."""
    dataset = spec.get("dataset")
    if isinstance(dataset, Mapping) and set(dataset) == {"ref"}:
        spec["dataset"] = dataset["ref"]
    return spec
