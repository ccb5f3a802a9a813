"""What a list of jobs can be narrowed by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from microlith.contract import Kind, State


class JobFilters(TypedDict, total=False):
    """All given filters must hold; tries are listed by `kind="predict"` alone. `labels` are the caller's own marks, and

    `page` is how many jobs one request fetches.
    """

    kind: Kind
    state: State
    model: str
    dataset: str
    method: str
    labels: dict[str, str]
    created_after: datetime
    created_before: datetime
    page: int


def query(filters: Mapping[str, Any]) -> dict[str, str]:
    """The filters as query parameters; a time without a zone is this machine's."""
    plain = {name: value for name, value in filters.items() if value is not None and name not in ("labels", "page")}
    parameters = {name: _text(value) for name, value in plain.items()}
    parameters |= {f"label.{key}": value for key, value in (filters.get("labels") or {}).items()}
    if filters.get("page"):
        parameters["limit"] = str(filters["page"])
    return parameters


def _text(value: object) -> str:
    return value.astimezone().isoformat() if isinstance(value, datetime) else str(value)
