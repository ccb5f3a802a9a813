"""The first rows of a data file, for its owner to see how it is read: few, of few columns, and cut short."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from app.domain.errors import MicrolithError
from app.sources.column_kinds import is_binary, is_list, is_text
from app.sources.columns import Columns
from app.sources.csv_form import CsvAsked
from app.sources.label_lists import together
from app.sources.label_values import label_names
from app.sources.short_texts import shorten
from app.sources.table_schema import TableSchema
from app.sources.tables import read_first

ROWS, COLUMNS, CHARACTERS = 5, 20, 200


def first_rows(file: Path, schema: TableSchema, columns: Columns, asked: CsvAsked) -> list[dict[str, str | None]]:
    """The first rows as texts by column, those that are read before others; None where a value is missing.

    A column that is not read may be broken: then only those that are read are told.
    """
    read = [*columns.inputs, *columns.labels][:COLUMNS]
    others = [name for name in schema.types if name not in read]
    try:
        batch = read_first(file, [*read, *others[: COLUMNS - len(read)]], ROWS, asked)
    except MicrolithError:
        batch = read_first(file, read, ROWS, asked)
    if batch is None:
        return []
    told = {
        name: _tell(_labels(column, columns, schema.class_names.get(name)) if name == columns.label else column)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return [{name: values[row] for name, values in told.items()} for row in range(batch.num_rows)]


def _labels(column: pa.Array, columns: Columns, names: list[str] | None) -> pa.Array:
    """Labels by their names; several of a row as they are listed."""
    if columns.several is None:
        return label_names(column, names)
    return together(column) if is_list(column.type) else column


def _tell(column: pa.Array) -> list[str | None]:
    kind = column.type
    if is_binary(kind) or (pa.types.is_nested(kind) and not is_text(kind)):
        return [f"({shorten(str(kind))})" if there else None for there in column.is_valid().to_pylist()]
    values = column.to_pylist()
    return [None if value is None else shorten(" ".join(str(value).split()), CHARACTERS) for value in values]
