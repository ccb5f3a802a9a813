"""Registered sources as they travel: whole when asked for singly, and with counts for long facts in lists.

What the database holds of one may be of an older shape, or worse: it is then told as one of which nothing is known, and
the others are told as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError

from app.db.sources import ListedSource
from app.domain.errors import DatasetInvalid, UnsupportedModel
from microlith.contract import DatasetInfo, ModelInfo

COLUMNS = ("text_column", "text_pair_column", "image_column", "label_column", "label_columns")
MOST = 2**63 - 1
"""The largest number that is told: what others than Python can hold."""

log = structlog.get_logger()

Info = TypeVar("Info", ModelInfo, DatasetInfo)


def model_of(row: ListedSource) -> ModelInfo:
    """The model, whole. Raises UnsupportedModel where what is known of it cannot be read any more."""
    return _validated(ModelInfo, row, _no_model(row)) or _lost(UnsupportedModel, "model", row)


def dataset_of(row: ListedSource) -> DatasetInfo:
    """The dataset, whole. Raises DatasetInvalid where what is known of it cannot be read any more."""
    nothing = _no_dataset(row) | {"form": row.columns}
    return _validated(DatasetInfo, row, nothing, form=row.columns) or _lost(DatasetInvalid, "dataset", row)


def listed_model(row: ListedSource) -> ModelInfo:
    """The model in a list."""
    nothing = _no_model(row)
    return _validated(ModelInfo, row, nothing, labels=[], layers=[]) or ModelInfo.model_validate(nothing)


def listed_dataset(row: ListedSource) -> DatasetInfo:
    """The dataset in a list."""
    nothing = _no_dataset(row)
    splits = row.facts.get("splits") if row.facts else None
    roles = splits if isinstance(splits, dict) else {}
    light = {role: split | {"labels": {}} if isinstance(split, dict) else split for role, split in roles.items()}
    instead: dict[str, Any] = {"columns": {}, "first_rows": [], "splits": light}
    return _validated(DatasetInfo, row, nothing, **instead) or DatasetInfo.model_validate(nothing)


def light_model(info: ModelInfo) -> ModelInfo:
    """A known model as a list tells it."""
    return counted_model(info).model_copy(update={"labels": [], "layers": []})


def light_dataset(info: DatasetInfo) -> DatasetInfo:
    """A known dataset as a list tells it."""
    whole = counted_dataset(info)
    splits = {role: split.model_copy(update={"labels": {}}) for role, split in whole.splits.items()}
    return whole.model_copy(update={"splits": splits, "columns": {}, "class_names": None, "first_rows": []})


def counted_model(info: ModelInfo) -> ModelInfo:
    """The same with the counts that lists have in the place of what they leave out."""
    return info.model_copy(update={"label_count": len(info.labels), "layer_count": len(info.layers)})


def counted_dataset(info: DatasetInfo) -> DatasetInfo:
    """As `counted_model`; labels are those of all splits together."""
    labels = {label for split in info.splits.values() for label in split.labels}
    return info.model_copy(update={"label_count": len(labels), "column_count": len(info.columns)})


def _validated(kind: type[Info], row: ListedSource, nothing: Mapping[str, Any], **instead: Any) -> Info | None:
    """What is known; None, and a line in the log, where that cannot be read."""
    facts = row.facts | instead | _identity(row) if row.facts else nothing
    try:
        if row.readable and _is_bounded(facts):
            return kind.model_validate(facts)
        said = "numbers out of range, or not an object"
    except ValidationError as error:
        said = str(error)[:500]
    log.error("source_unreadable", source=row.id, said=said)
    return None


def _lost(kind: type[UnsupportedModel] | type[DatasetInvalid], what: str, row: ListedSource) -> Any:
    raise kind(
        f"The stored facts of the {what} {row.id} cannot be read.",
        hint="Delete it, then upload and register it again.",
    )


def _is_bounded(facts: Mapping[str, Any]) -> bool:
    inside: list[Any] = [facts]
    while inside:
        value = inside.pop()
        if isinstance(value, Mapping):
            inside += value.values()
        elif isinstance(value, list):
            inside += value
        elif isinstance(value, int | float) and abs(value) > MOST:
            return False
    return True


def _identity(row: ListedSource) -> dict[str, Any]:
    return {"id": row.id, "origin": row.upload_id or f"hub:{row.hub}", "created_at": row.created_at}


def _no_model(row: ListedSource) -> dict[str, Any]:
    """A model of which nothing but its name is known."""
    names = ("sha256", "architecture", "family", "max_length", "parameters", "size_bytes")
    unknown = dict.fromkeys(names) | {"labels": [], "layers": [], "structures": [], "revision": _revision(row)}
    return unknown | {"name": _name(row)} | _identity(row)


def _no_dataset(row: ListedSource) -> dict[str, Any]:
    known = {name: row.columns.get(name) for name in COLUMNS}
    unknown = known | {"revision": _revision(row), "columns": {}, "splits": {}, "size_bytes": None}
    return unknown | {"name": _name(row)} | _identity(row)


def _name(row: ListedSource) -> str | None:
    stated = row.facts.get("name") if row.facts else None
    if isinstance(stated, str):
        return stated
    return (row.hub or "").partition("@")[0].rpartition("/")[2] or None


def _revision(row: ListedSource) -> str | None:
    return (row.hub or "").partition("@")[2] or None
