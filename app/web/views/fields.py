"""Controls of a form, made from the JSON Schemas that `GET /v1/methods` tells: a control's name is a JSON Pointer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

FieldKind = Literal["choice", "choices", "flag", "number", "numbers", "text", "list", "json"]
JsonSchema = Mapping[str, Any]
MISSING = object()


@dataclass(frozen=True)
class FieldChoice:
    """One of the values a control offers, with what is to be said of it."""

    value: str
    text: str
    says: str = ""


@dataclass(frozen=True)
class Field:
    """A control, what it holds and what is wrong with that. `values` are texts, several for `choices` only."""

    pointer: str
    label: str
    kind: FieldKind
    says: str = ""
    values: tuple[str, ...] = ()
    default: str = ""
    choices: Sequence[FieldChoice] = ()
    faults: tuple[str, ...] = field(default=())

    @property
    def id(self) -> str:
        return "field" + self.pointer.replace("/", "-")

    @property
    def value(self) -> str:
        return ", ".join(self.values)

    @property
    def changed(self) -> bool:
        """Whether it holds something else than what is taken without it."""
        return bool(self.values) and self.value != self.default


def fields_of(schema: JsonSchema, pointer: str, says: str, default: Any, spec: Mapping[str, Any]) -> Iterator[Field]:
    """The controls of one option: one, or one for each property of an object, as deep as it goes."""
    definitions = schema.get("$defs", {})
    yield from _fields(_SpecPart(schema, pointer, says, default), definitions, spec)


def look_up(spec: Any, pointer: str) -> Any:
    """What `spec` holds at the pointer, or MISSING."""
    for step in pointer.split("/")[1:]:
        if not isinstance(spec, Mapping) or step not in spec:
            return MISSING
        spec = spec[step]
    return spec


def texts(value: Any) -> tuple[str, ...]:
    """A value as the control that holds it writes it."""
    if value is None or value is MISSING or value in ([], {}):
        return ()
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return tuple(f"{item:g}" if isinstance(item, float) else str(item) for item in value)
    if isinstance(value, Mapping | list):
        return (json.dumps(value, ensure_ascii=False),)
    if isinstance(value, bool):
        return (str(value).lower(),)
    return (f"{value:g}" if isinstance(value, float) else str(value),)


@dataclass(frozen=True)
class _SpecPart:
    schema: JsonSchema
    pointer: str
    says: str
    default: Any


def _fields(part: _SpecPart, definitions: JsonSchema, spec: Mapping[str, Any]) -> Iterator[Field]:
    schema = _plain(part.schema, definitions)
    if schema.get("properties"):
        for name, inner in schema["properties"].items():
            default = part.default.get(name) if isinstance(part.default, Mapping) else inner.get("default")
            says = inner.get("description") or _plain(inner, definitions).get("description", "")
            if "const" not in inner:
                yield from _fields(_SpecPart(inner, f"{part.pointer}/{name}", says, default), definitions, spec)
        return
    yield _filled(_control(schema, part), spec)


def _plain(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """References followed; of a value or null, the value; of one or many, the many."""
    if "$ref" in schema:
        return _plain(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
    if options:
        return _plain(next((option for option in options if option.get("type") == "array"), options[0]), definitions)
    return schema


def _control(schema: JsonSchema, part: _SpecPart) -> Field:
    kind, offered = _kind(schema)
    label = name_of(part.pointer)
    choices = [FieldChoice(value, value) for value in offered]
    if kind == "choice" and part.default is None:
        choices.insert(0, FieldChoice("", "as it is found"))
    return Field(part.pointer, label, kind, part.says, default=", ".join(texts(part.default)), choices=choices)


def name_of(pointer: str) -> str:
    """What people call the part of a spec that a pointer leads to: `Per concern`."""
    return pointer.rpartition("/")[2].replace("_", " ").capitalize()


def _kind(schema: JsonSchema) -> tuple[FieldKind, list[str]]:
    items = schema.get("items", {})
    if "enum" in schema:
        return "choice", schema["enum"]
    if "enum" in items:
        return "choices", items["enum"]
    if schema.get("type") == "array" and (items.get("type") in ("string", "number") or "anyOf" in items):
        return "numbers" if items.get("type") == "number" else "list", []
    kinds: dict[str, FieldKind] = {"boolean": "flag", "integer": "number", "number": "number", "string": "text"}
    return kinds.get(schema.get("type", ""), "json"), []


def _filled(control: Field, spec: Mapping[str, Any]) -> Field:
    """With what the spec holds there; with the default where a control must show one of its choices."""
    value = look_up(spec, control.pointer)
    if value is MISSING:
        shown = tuple(control.default.split(", ")) if control.kind in ("choice", "choices", "flag") else ()
        return replace(control, values=tuple(value for value in shown if value))
    return replace(control, values=texts(value))
