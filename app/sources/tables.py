"""Data files, read by column with pyarrow: Parquet, CSV and JSON Lines give the same strings and the same errors.

Only the columns asked for are read. A label is a string here, whatever it is in the file: an id as its digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from app.domain.errors import DatasetInvalid
from app.sources.places import Stamp, stamp
from app.sources.splits import FORMATS

BATCH_ROWS = 4096
_BLOCK_BYTES = 16 * 1024 * 1024
_JSON_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}


@dataclass(frozen=True)
class Schema:
    """A file's columns with their types, and the class names that a Hugging Face schema states."""

    types: dict[str, pa.DataType]
    class_names: dict[str, list[str]]


def schema_of(columns: pa.Schema) -> Schema:
    """The schema of Arrow data, with the class names that `datasets` writes beside the columns."""
    return Schema({field.name: field.type for field in columns}, _class_names(columns.metadata or {}))


def read_schema(file: Path) -> Schema:
    """The columns of a data file, from its footer or its first rows; DatasetInvalid where it cannot be read."""
    with _reading(file):
        return _schema(stamp(file))


def read_rows(
    file: Path, input_column: str, label_column: str, *, rows: int = BATCH_ROWS
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Inputs and labels in batches of at most `rows`, in the file's order; nulls stay nulls.

    Labels and texts are strings, images are as they are stored.
    """
    with _reading(file):
        names = read_schema(file).class_names.get(label_column)
        for batch in _batches(file, [input_column, label_column], rows):
            yield _inputs(batch.column(0)), label_names(batch.column(1), names)


def read_labels(file: Path, label_column: str) -> Iterator[pa.Array]:
    """Labels alone, as strings, batch by batch."""
    with _reading(file):
        names = read_schema(file).class_names.get(label_column)
        for batch in _batches(file, [label_column], BATCH_ROWS):
            yield label_names(batch.column(0), names)


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


def _inputs(column: pa.Array) -> pa.Array:
    image = pa.types.is_nested(column.type) or is_binary(column.type)
    return column if image else column.cast(pa.large_string())


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _batches(file: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    form = FORMATS[file.suffix.lower()]
    if form == "parquet":
        with pyarrow.parquet.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(rows, columns=columns):
                yield batch.select(columns)
        return
    reader = _open_csv(file, columns) if form == "csv" else _open_json(file, columns)
    with reader:
        for batch in reader:
            yield batch.select(columns)


@lru_cache(maxsize=256)
def _schema(file: Stamp) -> Schema:
    form = FORMATS[file.path.suffix.lower()]
    if form == "parquet":
        return schema_of(pyarrow.parquet.read_schema(file.path))
    if form == "csv":
        with _open_csv(file.path, None) as reader:
            return schema_of(reader.schema)
    return Schema(_json_types(file.path), {})


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    stated = json.loads(metadata.get(b"huggingface", b"{}"))
    features = stated.get("info", {}).get("features", {})
    labels = {name: kind for name, kind in features.items() if isinstance(kind, dict) and kind.get("names")}
    return {name: [str(label) for label in kind["names"]] for name, kind in labels.items()}


def _open_csv(file: Path, columns: list[str] | None) -> pyarrow.csv.CSVStreamingReader:
    """Quoted emptiness is a text, bare emptiness is a null; the columns asked for are read as they are written."""
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


def _open_json(file: Path, columns: list[str]) -> pyarrow.json.JSONStreamingReader:
    """Whole numbers and lists of numbers are read as such, everything else as it is written."""
    kinds = _json_types(file)
    schema = pa.schema([(column, _json_reading(kinds[column])) for column in columns])
    return pyarrow.json.open_json(
        file,
        read_options=pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def _json_reading(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.list_(pa.float64())
    return pa.int64() if pa.types.is_integer(kind) else pa.string()


def _json_types(file: Path) -> dict[str, pa.DataType]:
    """Column types from the first record, so that a text that looks like a date stays a text."""
    with file.open("rb") as stream:
        record = json.loads(stream.readline(_BLOCK_BYTES) or b"null")
    if not isinstance(record, dict):
        raise ValueError("it must hold one JSON object per line")
    return {name: _json_type(value) for name, value in record.items()}


def _json_type(value: object) -> pa.DataType:
    if isinstance(value, list):
        return pa.list_(_json_type(value[0] if value else None))
    return _JSON_TYPES.get(type(value), pa.null())


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, AttributeError, RecursionError) as error:
        raise DatasetInvalid(
            f"{file.name} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}.",
            hint="Data files are Parquet, CSV with a header line, or JSON Lines (one object per line), in UTF-8.",
            pointer="/dataset",
        ) from error
