"""Data files, read by column with pyarrow: Parquet, Arrow, CSV and JSON give the same strings and the same errors.

Only the columns asked for are read, piece by piece, and what a file may hold has bounds (`bounds`). A label is a string
here, whatever it is in the file: an id as its digits.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources import arrow_stream, csv_and_json, parquet
from app.sources.column_kinds import is_binary, is_text, widest_bytes
from app.sources.csv_form import FOUND_OUT, CsvAsked, csv_form
from app.sources.label_lists import Several, lists_of, lists_of_columns
from app.sources.label_values import labels_of
from app.sources.reference_files import Stamp, stamp
from app.sources.short_texts import shorten
from app.sources.size_limits import (
    BATCH_BYTES,
    MAX_ROWS,
    MAX_TEXT_BYTES,
    POINTER,
    most_text_bytes,
    within,
)
from app.sources.splits import FORMATS
from app.sources.table_schema import TableSchema, check_names, schema_of
from app.sources.valid_batches import validated

BATCH_ROWS = 4096
_STORED = {"parquet": parquet, "arrow": arrow_stream}
_BROKEN = (
    *(pa.ArrowException, OSError, ValueError, TypeError, AttributeError),
    *(LookupError, ArithmeticError, RecursionError),
)
"""What the libraries raise for files that are no such files."""


def read_schema(file: Path, asked: CsvAsked = FOUND_OUT) -> TableSchema:
    """The columns of a data file, from its footer or its first rows; DatasetInvalid where it cannot be read."""
    with _reading(file):
        return _schema(stamp(file), asked)


def warnings_of(file: Path, asked: CsvAsked = FOUND_OUT) -> tuple[str, ...]:
    """What was guessed about how a file is written."""
    return csv_form(stamp(file), asked).warnings if FORMATS[file.suffix.lower()] == "csv" else ()


def read_rows(
    file: Path,
    input_columns: Sequence[str],
    label_column: str,
    *,
    several: Several | None = None,
    rows: int = BATCH_ROWS,
    asked: CsvAsked = FOUND_OUT,
) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Inputs and labels in batches of at most `rows`, in the file's order; nulls stay nulls.

    Labels and texts are strings, images are as they are stored; the texts of two columns are structs, by their names.
    Where a row may have `several` labels, these are lists of strings. Raises DatasetInvalid for labels that are too
    long, ResourceLimit for too many rows and for texts that are too long, one of them or all together.
    """
    with _reading(file):
        labels = _LabelReader.of(file, label_column, several, asked)
        left = most_text_bytes(file.stat().st_size)
        for batch in _batches(file, [*input_columns, *labels.columns], rows, asked):
            for name in input_columns:
                left -= _check_texts(file, batch.column(name), left)
            for piece in _pieces(batch, input_columns):
                yield _inputs(piece, input_columns), labels.read(piece)


def read_labels(
    file: Path, label_column: str, asked: CsvAsked = FOUND_OUT, several: Several | None = None
) -> Iterator[pa.Array]:
    """Labels alone, as `read_rows` gives them, batch by batch."""
    with _reading(file):
        labels = _LabelReader.of(file, label_column, several, asked)
        for batch in _batches(file, labels.columns, BATCH_ROWS, asked):
            yield labels.read(batch)


def read_first(file: Path, columns: list[str], rows: int, asked: CsvAsked = FOUND_OUT) -> pa.RecordBatch | None:
    """The first rows of some columns, as they are stored; None for a file without rows."""
    with _reading(file):
        batch = next(_batches(file, columns, rows, asked), None)
        return None if batch is None else batch.slice(0, rows)


@dataclass(frozen=True)
class _LabelReader:
    """Which columns hold the labels of a file, and what the file calls their ids."""

    file: Path
    column: str
    several: Several | None
    names: list[str] | None

    @classmethod
    def of(cls, file: Path, column: str, several: Several | None, asked: CsvAsked) -> _LabelReader:
        return cls(file, column, several, read_schema(file, asked).class_names.get(column))

    @property
    def columns(self) -> list[str]:
        return list(self.several.columns if self.several and self.several.columns else [self.column])

    def read(self, batch: pa.RecordBatch) -> pa.Array:
        """The labels of a batch, whose last columns they are."""
        if self.several is None:
            return labels_of(self.file, self.column, batch.columns[-1], self.names)
        if not self.several.columns:
            return lists_of(self.file, self.column, batch.columns[-1], self.names, self.several)
        held = batch.columns[-len(self.columns) :]
        return lists_of_columns(self.file, dict(zip(self.columns, held, strict=True)))


def _batches(file: Path, columns: list[str], rows: int, asked: CsvAsked) -> Iterator[pa.RecordBatch]:
    seen = 0
    for batch in _raw_batches(file, columns, rows, asked):
        seen += batch.num_rows
        within(seen, MAX_ROWS, f"{file.name} has more than {MAX_ROWS:,} rows", "Use fewer rows.")
        yield batch


def _raw_batches(file: Path, columns: list[str], rows: int, asked: CsvAsked) -> Iterator[pa.RecordBatch]:
    form = FORMATS[file.suffix.lower()]
    if form in _STORED:
        yield from _STORED[form].batches(file, columns, rows)
    elif form == "json" and csv_and_json.is_array(file):
        yield from csv_and_json.array_batches(file, columns, rows)
    else:
        with _opened(file, columns, asked) as reader:
            yield from (batch.select(columns) for batch in validated(file, reader))


def _opened(file: Path, columns: list[str], asked: CsvAsked) -> Any:
    if FORMATS[file.suffix.lower()] == "csv":
        return csv_and_json.open_csv(file, columns, csv_form(stamp(file), asked))
    return csv_and_json.open_json(file, columns)


def _pieces(batch: pa.RecordBatch, input_columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The batch, in parts that stay small when each row gets texts of its own."""
    inputs = [batch.column(name) for name in input_columns]
    repeated = [texts for texts in inputs if isinstance(texts.type, pa.DictionaryType) and is_text(texts.type)]
    widest = sum(map(widest_bytes, repeated))
    rows = max(BATCH_BYTES // max(widest, 1), 1)
    yield from (batch.slice(at, rows) for at in range(0, batch.num_rows, rows))


def _inputs(batch: pa.RecordBatch, input_columns: Sequence[str]) -> pa.Array:
    read = []
    for name in input_columns:
        column = batch.column(name)
        if isinstance(column.type, pa.DictionaryType):
            column = column.dictionary_decode()
        image = pa.types.is_nested(column.type) or is_binary(column.type)
        read.append(column if image else column.cast(pa.large_string()))
    return read[0] if len(read) == 1 else pa.StructArray.from_arrays(read, list(input_columns))


def _check_texts(file: Path, inputs: pa.Array, left: int) -> int:
    """How many bytes the texts have; ResourceLimit where one has, or all together have, too many."""
    if not is_text(inputs.type):
        return 0
    if widest_bytes(inputs) > MAX_TEXT_BYTES:
        raise ResourceLimit(
            f"A text of {file.name} has more than {MAX_TEXT_BYTES:,} bytes.",
            hint="Cut texts to the length that the model reads, a few thousand words at most.",
            pointer=POINTER,
        )
    size = _size(inputs)
    if size > left:
        most = most_text_bytes(file.stat().st_size)
        raise ResourceLimit(
            f"The texts of {file.name} come to more than {most:,} bytes, far more than the file has.",
            hint="Leave out repeated rows.",
            pointer=POINTER,
        )
    return size


def _size(texts: pa.Array) -> int:
    """Bytes of all of them, repeated ones counted each time."""
    if isinstance(texts, pa.DictionaryArray):
        lengths = pc.take(pc.binary_length(texts.dictionary), texts.indices)
    else:
        lengths = pc.binary_length(texts)
    return pc.sum(lengths.cast(pa.int64())).as_py() or 0


@lru_cache(maxsize=256)
def _schema(file: Stamp, asked: CsvAsked) -> TableSchema:
    form = FORMATS[file.path.suffix.lower()]
    if form in _STORED:
        return schema_of(_STORED[form].schema(file.path))
    if form == "csv":
        with csv_and_json.open_csv(file.path, None, csv_form(file, asked)) as reader:
            names = reader.schema.names
        return schema_of(pa.schema([(name, pa.string()) for name in names]))  # whatever they look like
    return TableSchema(check_names(csv_and_json.json_types(file.path)), {})


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Whatever is wrong with a file as bad input, without what is this machine's own."""
    try:
        yield
    except (*_BROKEN, MemoryError) as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            raise ResourceLimit(
                f"Reading {file.name} takes more memory than allowed.",
                hint="Write smaller row groups and shorter texts.",
                pointer=POINTER,
            ) from error
        detail = str(getattr(error, "strerror", None) or error).strip().splitlines() or [type(error).__name__]
        raise DatasetInvalid(
            f"{file.name} cannot be read: {shorten(detail[0].replace(f'{file.parent}/', ''), 300).rstrip('.')}.",
            hint="Data files are Parquet, CSV with a header line, JSON Lines (an object per line) or a JSON array.",
            pointer=POINTER,
        ) from error
