"""Parquet, read so that a small file cannot take much memory: its footer is judged before anything else is read.

What a footer says may be a lie; the limits of the process that reads (`app.confined`) hold whatever it says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from app.domain.errors import ResourceLimit
from app.sources.size_limits import BATCH_BYTES, MAX_COLUMNS, MAX_FIELDS, MAX_FOOTER_BYTES, MAX_ROWS, POINTER, within
from app.sources.valid_batches import validated

_MAGIC = b"PAR1"
_BUFFER_BYTES = 1_000_000
_MOST_LISTED = 200_000
"""Row groups, and columns with what is nested in them."""

_SMALL_CHUNK_BYTES = 8_000_000
"""A column's part of a row group that is read as its dictionary: the same text a million times stays one text."""


def schema(file: Path) -> pa.Schema:
    """The columns of a file, from its footer. Raises ResourceLimit for too many rows or columns."""
    with _opened(file) as parquet:
        return parquet.schema_arrow


def batches(file: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """These columns in batches of at most `rows`, fewer where they are wide; repeated texts may be dictionaries."""
    with _opened(file) as parquet:
        footer, whole = parquet.metadata, parquet.schema_arrow
    texts = [name for name in columns if _is_text(whole.field(name).type)]
    small = [name for name in texts if _largest(footer, name) <= _SMALL_CHUNK_BYTES]
    with _opened(file, read_dictionary=small, metadata=footer) as parquet:
        at_once = min(rows, _rows_at_once(footer, columns))
        read = parquet.iter_batches(at_once, columns=columns, use_threads=False)
        yield from (batch.select(columns) for batch in validated(file, read))


@contextmanager
def _opened(file: Path, **how: Any) -> Iterator[pyarrow.parquet.ParquetFile]:
    _check_footer(file)
    with pyarrow.parquet.ParquetFile(
        file, buffer_size=_BUFFER_BYTES, pre_buffer=False, thrift_container_size_limit=_MOST_LISTED, **how
    ) as parquet:
        _check_counts(file.name, parquet)
        yield parquet


def _check_footer(file: Path) -> None:
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - 8, 0))
        end = stream.read(8)
    length = int.from_bytes(end[:4], "little") if end[4:] == _MAGIC else 0
    if MAX_FOOTER_BYTES < length < size:
        raise ResourceLimit(
            f"The footer of {file.name} has {length:,} bytes; the limit is {MAX_FOOTER_BYTES:,}.",
            hint="Write fewer columns, larger row groups and no extra metadata.",
            pointer=POINTER,
        )


def _check_counts(name: str, parquet: pyarrow.parquet.ParquetFile) -> None:
    footer, hint = parquet.metadata, "Keep only the columns that the job reads: an input and a label."
    fields = footer.num_columns
    within(fields, MAX_FIELDS, f"{name} has {fields:,} columns with what is nested in them", hint)
    columns = len(parquet.schema_arrow)
    within(columns, MAX_COLUMNS, f"{name} has {columns:,} columns", hint)
    rows = max(footer.num_rows, sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups)))
    within(rows, MAX_ROWS, f"{name} has {rows:,} rows", "Use fewer rows: a sample is enough.")


def _rows_at_once(footer: pyarrow.parquet.FileMetaData, columns: list[str]) -> int:
    """How many rows of these columns come to BATCH_BYTES, in the row group where they are widest."""
    leaves = [leaf for column in columns for leaf in _leaves(footer, column)]
    width = 1.0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        size = sum(max(group.column(leaf).total_uncompressed_size, 0) for leaf in leaves)
        width = max(width, size / max(group.num_rows, 1))
    return max(int(BATCH_BYTES / width), 1)


def _largest(footer: pyarrow.parquet.FileMetaData, column: str) -> int:
    """Bytes, uncompressed, of the column's largest part."""
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    sizes = [group.column(leaf).total_uncompressed_size for group in groups for leaf in _leaves(footer, column)]
    return max(sizes, default=0)


def _leaves(footer: pyarrow.parquet.FileMetaData, column: str) -> list[int]:
    """Where the column's values are among all stored ones; what is nested is stored apart."""
    paths = [footer.schema.column(at).path for at in range(footer.num_columns)]
    return [at for at, path in enumerate(paths) if path == column or path.startswith(f"{column}.")]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
