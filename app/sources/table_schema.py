"""What a data file says of its columns: their names, which must be told apart and kept, their types and class names."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.json_file import storable
from app.sources.short_texts import shorten
from app.sources.size_limits import MAX_COLUMN_CHARACTERS, MAX_COLUMNS, POINTER, within


@dataclass(frozen=True)
class TableSchema:
    """A file's columns with their types, and the class names that a Hugging Face schema states."""

    types: dict[str, pa.DataType]
    class_names: dict[str, list[str]]


def schema_of(columns: pa.Schema) -> TableSchema:
    """The schema of Arrow data, with the class names that `datasets` writes beside the columns.

    Raises ResourceLimit for too many columns, DatasetInvalid for names that are given twice, too long or unstorable.
    """
    types = check_names((field.name, field.type) for field in columns)
    return TableSchema(types, _class_names(columns.metadata or {}))


def check_names(columns: Iterable[tuple[str, pa.DataType]]) -> dict[str, pa.DataType]:
    """Columns by name. Raises what `schema_of` raises of names."""
    listed = list(columns)
    hint = "Keep only the columns that the job reads: an input and a label."
    within(len(listed), MAX_COLUMNS, f"The data has {len(listed):,} columns", hint)
    for name, times in Counter(name for name, _ in listed).items():
        if times > 1:
            raise DatasetInvalid(
                f"There are {times} columns with the name {shorten(name)}.",
                hint="Give each column a name of its own, or leave one out.",
                pointer=POINTER,
            )
        if len(name) > MAX_COLUMN_CHARACTERS or not storable(name):
            raise DatasetInvalid(
                f"The name of column {shorten(name)} is too long or not a text.",
                hint=f"Names have at most {MAX_COLUMN_CHARACTERS} characters, and no NUL.",
                pointer=POINTER,
            )
    return dict(listed)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Class names by column; columns whose names are no list have none."""
    document = json.loads(metadata.get(b"huggingface", b"{}"))
    for part in ("info", "features"):
        document = document.get(part, {}) if isinstance(document, dict) else None
    if not isinstance(document, dict):
        raise ValueError("its `huggingface` metadata is not an object with `info` and `features`")
    named = {name: _names_in(kind) for name, kind in document.items()}
    return {name: [str(label) for label in names] for name, names in named.items() if names and isinstance(names, list)}


def _names_in(kind: object) -> object:
    """The class names of a feature, or of what its lists hold."""
    if isinstance(kind, list):
        return _names_in(kind[0]) if kind else None
    if not isinstance(kind, dict):
        return None
    return kind.get("names") or _names_in(kind.get("feature"))
