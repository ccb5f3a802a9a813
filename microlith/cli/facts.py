"""What the contract says of each place of a spec: its sentence, its default, its choices."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from microlith.contract import JobSpec


@dataclass(frozen=True)
class Fact:
    """One place of a spec."""

    sentence: str
    default: Any
    choices: tuple[str, ...]
    required: bool

    @property
    def told(self) -> str:
        """The sentence with choices and default, for the help of a flag."""
        if self.required or self.default in (None, [], {}) or isinstance(self.default, dict):
            return self.with_choices
        default = ", ".join(self.default) if isinstance(self.default, list) else self.default
        return f"{self.with_choices} Default: {default}."

    @property
    def with_choices(self) -> str:
        """The sentence with those choices that it does not name itself."""
        named = all(f"`{choice}`" in self.sentence for choice in self.choices)
        return (
            self.sentence if named or len(self.choices) < 2 else f"{self.sentence} One of: {', '.join(self.choices)}."
        )


def fact(place: str) -> Fact:
    """What the contract says of a dotted place. Raises KeyError for none of its places."""
    *parents, name = place.split(".")
    models: list[type[BaseModel]] = [JobSpec]
    for parent in parents:
        models = [inner for model in models for inner in parts(model.model_fields[parent])]
    return describe(next(model.model_fields[name] for model in models if name in model.model_fields))


def describe(field: FieldInfo) -> Fact:
    """What the contract says of a field; a part without a sentence of its own has that of its model."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    sentence = field.description or (inspect.getdoc(type(default)) if isinstance(default, BaseModel) else "") or ""
    plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
    return Fact(" ".join(sentence.split()), plain, tuple(_choices(field.annotation)), field.is_required())


def parts(field: FieldInfo) -> list[type[BaseModel]]:
    """The models that a field's value may be."""
    return list(_models(field.annotation))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in _inside(annotation) for model in _models(inner)]


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [choice for inner in _inside(annotation) for choice in _choices(inner)]


def _inside(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return get_args(annotation)[:1]
    return get_args(annotation) if origin in (Union, UnionType, list) else ()
