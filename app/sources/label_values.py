"""Labels as strings, one for each row, whatever a column stores them as."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid
from app.sources.column_kinds import is_text, widest_bytes
from app.sources.short_texts import shorten
from app.sources.size_limits import MAX_LABEL_CHARACTERS, POINTER

_WIDEST_CHARACTER = 4
"""Bytes in UTF-8."""


def labels_of(file: Path, name: str, column: pa.Array, names: list[str] | None) -> pa.Array:
    """The labels as strings; DatasetInvalid for those that nobody can have meant as names."""
    if is_text(column.type) and widest_bytes(column) > MAX_LABEL_CHARACTERS * _WIDEST_CHARACTER:
        _refuse_long(file.name)
    if pa.types.is_floating(column.type):
        column = whole_numbers(name, column)
    labels = label_names(column, names)
    check_names(file, labels)
    return labels


def check_names(file: Path, labels: pa.Array) -> None:
    """DatasetInvalid for labels that are too long to be names, or cannot be stored."""
    if (pc.max(pc.utf8_length(labels)).as_py() or 0) > MAX_LABEL_CHARACTERS:
        _refuse_long(file.name)
    if pc.any(pc.match_substring(labels, "\0")).as_py():
        raise DatasetInvalid(f"A label of {file.name} has a NUL character.", pointer=f"{POINTER}/label_column")


def whole_numbers(name: str, column: pa.Array) -> pa.Array:
    """Class ids that were stored as floats, as they are where some are missing; NaN is a missing one."""
    numbers = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    try:
        return numbers.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DatasetInvalid(
            f"Column {shorten(name)} holds {column.type} with fractions. "
            "Labels are whole numbers (class ids) or names.",
            hint="Cast the column to whole numbers, or write the names of classes.",
            pointer=f"{POINTER}/label_column",
        ) from error


def label_names(labels: pa.Array, names: list[str] | None) -> pa.Array:
    """Labels as strings; an id within `names` as its name, any other (-1 for no label) as its digits."""
    if isinstance(labels.type, pa.DictionaryType):
        labels = labels.dictionary_decode()
    text = labels.cast(pa.large_string())
    if names is None or not pa.types.is_integer(labels.type):
        return text
    known = pc.and_(pc.greater_equal(labels, 0), pc.less(labels, len(names)))
    ids = pc.if_else(known, labels, pa.scalar(None, labels.type))
    return pc.coalesce(pc.take(pa.array(names, pa.large_string()), ids), text)


def _refuse_long(name: str) -> None:
    raise DatasetInvalid(
        f"A label of {name} has more than {MAX_LABEL_CHARACTERS:,} characters. Check that it is the label column.",
        hint="Name the column of the classes in `label_column`.",
        pointer=f"{POINTER}/label_column",
    )
