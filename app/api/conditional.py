"""Answers a caller already has are not sent again; answers it wants later are waited for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from fastapi import Response
from pydantic import BaseModel

MAX_WAIT_SECONDS = 60


def send_json(content: bytes) -> Response:
    """What was written out already."""
    return Response(content, media_type="application/json")


def write_json(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`model` as JSON, as it is: it was checked when it was made."""
    return Response(model.model_dump_json(), status, headers, media_type="application/json")


def answer(model: BaseModel, if_none_match: str | None = None) -> Response:
    """`model` as JSON under an ETag of its content; 304 when the caller has just that."""
    etag = etag_of(model)
    if matches(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return write_json(model, headers={"ETag": etag, "Cache-Control": "no-cache"})


def etag_of(model: BaseModel) -> str:
    """The tag of a version: equal content has an equal tag."""
    return f'"{hashlib.sha256(model.model_dump_json().encode()).hexdigest()[:32]}"'


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this tag, weakly or not."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return etag in tags or "*" in tags


def wait_preference(prefer: str | None) -> float:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most 60; 0 where nothing is preferred."""
    match = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer or "")
    return min(float(match[1]), MAX_WAIT_SECONDS) if match else 0.0
