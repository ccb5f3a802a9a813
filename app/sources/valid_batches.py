"""Batches held against what Arrow promises of them, before a value is used: a writer may not have checked its texts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.short_texts import shorten
from app.sources.size_limits import POINTER


def validated(file: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a file, each checked whole.

    Raises DatasetInvalid with the row for a text that is not UTF-8, ArrowInvalid for all else.
    """
    rows, left = 0, iter(batches)
    for batch in left:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            _name_row(file, itertools.chain([batch], left), rows, error)
        yield batch
        rows += batch.num_rows


def _name_row(file: Path, batches: Iterable[pa.RecordBatch], rows: int, error: pa.ArrowInvalid) -> NoReturn:
    """The first row of a broken text, which may come later than the dictionary that has it."""
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            row = _first_broken(column)
            if row is not None:
                raise DatasetInvalid(
                    f"Row {rows + row + 1:,} of {file.name} is not UTF-8 in column {shorten(name)}.",
                    hint="Write the texts as UTF-8, or leave the row out.",
                    pointer=POINTER,
                ) from error
        rows += batch.num_rows
    raise error


def _first_broken(column: pa.Array) -> int | None:
    """The place of the first text that is not UTF-8."""
    if isinstance(column, pa.DictionaryArray):
        broken = _first_broken(column.dictionary)
        rows = enumerate(column.indices.to_pylist())
        return None if broken is None else next((row for row, index in rows if index == broken), None)
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return None
    binary = pa.binary() if pa.types.is_string(column.type) else pa.large_binary()
    return next((row for row, text in enumerate(column.view(binary).to_pylist()) if not _is_utf8(text)), None)


def _is_utf8(text: bytes | None) -> bool:
    try:
        return text is None or text.decode() is not None
    except UnicodeDecodeError:
        return False
