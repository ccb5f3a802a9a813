"""What the contract says of each field of a spec: its sentence, its default, its choices."""

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
    """One field of a spec."""

    sentence: str
    default: Any
    choices: tuple[str, ...]
    required: bool

    @property
    def help_text(self) -> str:
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


def look_up(dotted_name: str) -> Fact:
    """What the contract says of a field, e.g. `evaluation.limit`. Raises KeyError where it has no such field."""
    *parents, name = dotted_name.split(".")
    models: list[type[BaseModel]] = [JobSpec]
    for parent in parents:
        models = [inner for model in models for inner in _models(model.model_fields[parent].annotation)]
    return describe(next(model.model_fields[name] for model in models if name in model.model_fields))


def describe(field: FieldInfo) -> Fact:
    """What the contract says of a field; a part without a sentence of its own has that of its model."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    sentence = field.description or (inspect.getdoc(type(default)) if isinstance(default, BaseModel) else "") or ""
    plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
    return Fact(" ".join(sentence.split()), plain, tuple(_choices(field.annotation)), field.is_required())


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a value of this type may be."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in _inner_types(annotation) for model in _models(inner)]


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    return [choice for inner in _inner_types(annotation) for choice in _choices(inner)]


def _inner_types(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return get_args(annotation)[:1]
    return get_args(annotation) if origin in (Union, UnionType, list) else ()
