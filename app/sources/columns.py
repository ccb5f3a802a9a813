"""Which columns hold the texts and the labels, and whether their types and values can serve."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.splits import POINTER
from app.sources.tables import Schema

TEXT_COLUMNS = ("text", "sentence", "content")
LABEL_COLUMNS = ("label", "labels", "class", "category")


def choose_column(named: str | None, usual: Iterable[str], schema: Schema, field: str) -> str:
    """The column named, or the first of its usual names; DatasetInvalid with the columns there are."""
    wanted = [named] if named else list(usual)
    for name in wanted:
        if name in schema.types:
            return name
    raise DatasetInvalid(
        f"The data has no column {' or '.join(wanted)}. Columns: {', '.join(schema.types)}.",
        hint=None if named else f"Name it in `{field}` of the dataset object.",
        pointer=f"{POINTER}/{field}",
    )


def check_types(schema: Schema, text: str, label: str) -> None:
    """DatasetInvalid where a column is missing or its type cannot be text, or a label."""
    for column in (text, label):
        if column not in schema.types:
            raise DatasetInvalid(f"A file has no column {column}. Columns: {', '.join(schema.types)}.", pointer=POINTER)
    kind = schema.types[text]
    # An untyped column holds nothing but nulls so far; counting says how many.
    if not (_is_text(kind) or pa.types.is_null(kind)):
        raise DatasetInvalid(f"Column {text} holds {kind}, not text.", pointer=f"{POINTER}/text_column")
    kind = schema.types[label]
    if not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise DatasetInvalid(
            f"Column {label} holds {kind}. Labels are whole numbers (class ids) or names.",
            pointer=f"{POINTER}/label_column",
        )


def refuse_missing(missing: dict[str, int], where: str) -> None:
    """DatasetInvalid with how many rows miss a value, where any does."""
    for column, rows in missing.items():
        if rows:
            raise DatasetInvalid(
                f"{rows} rows of {where} have no {column}.", hint="Drop these rows or fill them in.", pointer=POINTER
            )


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))
