"""CSV and JSON Lines, read block by block; what the first line says is judged before all of it is believed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from app.domain.errors import ResourceLimit
from app.sources.size_limits import MAX_COLUMNS, MAX_HEADER_BYTES, POINTER, within

_BLOCK_BYTES = 16 * 1024 * 1024
_JSON_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def open_csv(file: Path, columns: list[str] | None) -> pyarrow.csv.CSVStreamingReader:
    """Quoted emptiness is a text, bare emptiness is a null; the columns asked for are read as they are written."""
    _check_header(file)
    convert = pyarrow.csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns or [], pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=convert,
    )


def open_json(file: Path, columns: list[str]) -> pyarrow.json.JSONStreamingReader:
    """Whole numbers and lists of numbers are read as such, everything else as it is written."""
    kinds = dict(json_types(file))
    schema = pa.schema([(column, _json_reading(kinds[column])) for column in columns])
    return pyarrow.json.open_json(
        file,
        read_options=pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def json_types(file: Path) -> list[tuple[str, pa.DataType]]:
    """Column types from the first record, so that a text that looks like a date stays a text."""
    with file.open("rb") as stream:
        record = json.loads(stream.readline(_BLOCK_BYTES) or b"null", object_pairs_hook=_Record)
    if not isinstance(record, _Record):
        raise ValueError("it must hold one JSON object per line")
    return [(name, _json_type(value)) for name, value in record]


class _Record(list[tuple[str, Any]]):
    """A JSON object with all that it says, also what it says twice."""


def _json_type(value: object) -> pa.DataType:
    if isinstance(value, list) and not isinstance(value, _Record):
        return pa.list_(_json_type(value[0] if value else None))
    return _JSON_TYPES.get(type(value), pa.null())


def _json_reading(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(pa.float64())
    return kind if pa.types.is_integer(kind) or pa.types.is_floating(kind) else pa.string()


def _check_header(file: Path) -> None:
    """ResourceLimit where the column names are too many or too long to be read."""
    with file.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES + 1)
    lines = io.StringIO(head.decode("utf-8", errors="replace"), newline="")
    try:
        names: list[str] = next(filter(None, csv.reader(lines)), [])
    except csv.Error as error:
        raise ValueError(f"its line of column names is broken, {error}") from error
    hint = "Keep the columns that are read: an input and a label."
    within(len(names), MAX_COLUMNS, f"{file.name} has more than {MAX_COLUMNS:,} columns", hint)
    if len(head) > MAX_HEADER_BYTES and not lines.read(1):
        raise ResourceLimit(
            f"The line of column names of {file.name} has more than {MAX_HEADER_BYTES:,} bytes.",
            hint="The first line names the columns; a quote that is opened there must be closed.",
            pointer=POINTER,
        )
