"""The two kinds of wire model: what a caller sends is checked to the letter, what a server answers may grow."""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, model_validator

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


class Request(BaseModel):
    """Sent by a caller: an unknown field is an error, so that a misspelt option is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(Request):
    """A whole request body. No text in it may contain NUL or half a surrogate pair, because no database stores them."""

    @model_validator(mode="wrap")
    @classmethod
    def _of_plain_text(cls, sent: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        """Other faults come first. A fault at a name that cannot be stored is not reported."""
        names, texts = _texts(sent)
        _refuse_strange(names)
        checked = check(sent)
        _refuse_strange(texts)
        return checked


class Answer(BaseModel):
    """Sent by the server: unknown fields are ignored, so that an old client reads a newer server."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, serialize_by_alias=True)


def _texts(sent: Any) -> tuple[list[str], list[str]]:
    """The names of a JSON value's objects, and all other texts in it."""
    names: list[str] = []
    texts: list[str] = []
    inside = [sent]
    while inside:
        value = inside.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            names += value
            inside += value.values()
        elif isinstance(value, list):
            inside += value
    return names, texts


def _refuse_strange(texts: list[str]) -> None:
    strange = _UNSTORABLE.search("\n".join(texts))
    if strange:
        raise ValueError(f"a text has {strange[0]!a}, a NUL or half a surrogate pair, which cannot be stored")
