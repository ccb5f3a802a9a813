"""CSV, JSON Lines and JSON arrays, read block by block; the first line is judged before all of it is believed."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from app.sources.csv_form import CsvForm

_BLOCK_BYTES = 16 * 1024 * 1024
_MAX_RECORD = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_LOOKED_THROUGH = 1000
_EMPTY_LISTS = pa.list_(pa.null())
_NO_RECORDS = "it must have one JSON object per line, or be an array of objects"
_BETWEEN = re.compile(r"[\s,]*")
_JSON_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


def open_csv(file: Path, columns: list[str] | None, form: CsvForm) -> pyarrow.csv.CSVStreamingReader:
    """Quoted emptiness is a text, bare emptiness is a null; the columns asked for are read as they are written."""
    convert = pyarrow.csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns or [], pa.string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pyarrow.csv.ReadOptions(
        block_size=_BLOCK_BYTES, use_threads=False, encoding=form.encoding, skip_rows=form.blank_lines
    )
    parse = pyarrow.csv.ParseOptions(delimiter=form.delimiter, newlines_in_values=True)
    return pyarrow.csv.open_csv(file, read_options=read, parse_options=parse, convert_options=convert)


def open_json(file: Path, columns: list[str]) -> pyarrow.json.JSONStreamingReader:
    """Whole numbers and lists are read as such, everything else as it is written."""
    kinds = dict(json_types(file))
    schema = pa.schema([(column, _json_reading(kinds[column])) for column in columns])
    return pyarrow.json.open_json(
        file,
        read_options=pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def is_array(file: Path) -> bool:
    """Whether a JSON file is one array, of records as may be hoped, and not an object in each line."""
    with file.open("rb") as stream:
        return stream.read(_CHUNK).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["


def array_batches(file: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """Records of a JSON array, as `open_json` reads those of lines, at most `rows` and about a block at once."""
    kinds = dict(json_types(file))
    schema = pa.schema([(column, _json_reading(kinds[column])) for column in columns])
    held: list[dict[str, Any]] = []
    size = 0
    for record, characters in _array_records(file):
        held.append(dict(record))
        size += characters
        if len(held) == rows or size > _BLOCK_BYTES:
            yield _batch(held, schema)
            held, size = [], 0
    if held:
        yield _batch(held, schema)


def json_types(file: Path) -> list[tuple[str, pa.DataType]]:
    """Column types from the first record, so that a text that looks like a date stays a text.

    What an empty list is of, one of the next records may tell.
    """
    with closing(_records(file)) as records:
        first = next(records, _JsonPairs() if is_array(file) else None)
        if first is None:
            raise ValueError(_NO_RECORDS)
        kinds = [(name, _json_type(value)) for name, value in first]
        more = itertools.islice(records, _LOOKED_THROUGH)
        while any(kind == _EMPTY_LISTS for _, kind in kinds) and (record := next(more, None)) is not None:
            found = {name: _json_type(value) for name, value in record}
            kinds = [(name, found.get(name, kind) if kind == _EMPTY_LISTS else kind) for name, kind in kinds]
    return kinds


def _records(file: Path) -> Generator[_JsonPairs]:
    """The objects of a JSON array, or those of the lines."""
    if is_array(file):
        yield from (record for record, _ in _array_records(file))
        return
    with file.open("rb") as stream:
        for line in iter(lambda: stream.readline(_MAX_RECORD), b""):
            record = json.loads(line, object_pairs_hook=_JsonPairs) if line.strip() else None
            if isinstance(record, _JsonPairs):
                yield record
            elif line.strip():
                raise ValueError(_NO_RECORDS)


def _array_records(file: Path) -> Iterator[tuple[_JsonPairs, int]]:
    """The objects of a JSON array with their lengths in characters, of which no more than one and a chunk is held."""
    decoder = json.JSONDecoder(object_pairs_hook=_JsonPairs)
    with file.open(encoding="utf-8-sig") as stream:
        text = stream.read(_CHUNK)
        at = text.index("[") + 1
        while True:
            between = _BETWEEN.match(text, at)
            start = between.end() if between else at
            if text[start : start + 1] == "]":
                return
            try:
                record, at = decoder.raw_decode(text, start)
            except ValueError:
                more = stream.read(max(_CHUNK, len(text) - start)) if len(text) - start < _MAX_RECORD else ""
                if not more:
                    raise
                text, at = text[start:] + more, 0
                continue
            if not isinstance(record, _JsonPairs):
                raise ValueError("its array must contain only objects")
            yield record, at - start


def _batch(records: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([record.get(field.name) for record in records], field.type) for field in schema]
    return pa.record_batch(columns, schema=schema)


class _JsonPairs(list[tuple[str, Any]]):
    """A JSON object with all that it says, also what it says twice."""


def _json_type(value: object) -> pa.DataType:
    if isinstance(value, list) and not isinstance(value, _JsonPairs):
        return pa.list_(_json_type(value[0] if value else None))
    return _JSON_TYPES.get(type(value), pa.null())


def _json_reading(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        inner = kind.value_type
        return kind if pa.types.is_string(inner) or pa.types.is_boolean(inner) else pa.list_(pa.float64())
    return kind if pa.types.is_integer(kind) or pa.types.is_floating(kind) else pa.string()
