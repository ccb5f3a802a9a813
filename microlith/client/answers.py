"""Answers as wire models, and the paths they come from."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from microlith.errors import UnexpectedAnswer

Answered = TypeVar("Answered", bound=BaseModel)


def read(model: type[Answered], answer: httpx.Response) -> Answered:
    """What the server said. Raises UnexpectedAnswer for what is none of the contract's."""
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "body"
        raise UnexpectedAnswer(str(answer.url), f"its {field} cannot be read ({fault['msg']})") from error


def path_of(*segments: str) -> str:
    """A path below `/v1`. References hold slashes and dots, so every segment is escaped whole."""
    return "/v1/" + "/".join(quote(segment, safe=":@") for segment in segments)
