"""Data files as callers send them, and as nobody should."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet


def parquet(table: pa.Table, **how: Any) -> bytes:
    """The table as a Parquet file."""
    whole = io.BytesIO()
    pyarrow.parquet.write_table(table, whole, **how)
    return whole.getvalue()


def repeated(text: str, rows: int, groups: int = 1) -> bytes:
    """A Parquet file of one text and two labels, each stored once a row group, however many rows that has."""
    labels = pa.DictionaryArray.from_arrays(np.arange(rows, dtype=np.int32) % 2, ["a", "b"])
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text])
    table, whole = pa.table({"text": texts, "label": labels}), io.BytesIO()
    how: dict[str, Any] = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30, "store_schema": False}
    with pyarrow.parquet.ParquetWriter(whole, table.schema, **how) as writer:
        for _ in range(groups):
            writer.write_table(table, row_group_size=rows)
    return whole.getvalue()


def with_class_names(names: Any) -> bytes:
    """A Parquet file of two rows, whose footer gives the label column these class names."""
    stated = {"info": {"features": {"label": {"names": names}}}}
    table = pa.table({"text": ["a", "b"], "label": pa.array([0, 1])})
    return parquet(table.replace_schema_metadata({"huggingface": json.dumps(stated)}))


def with_footer(content: Any) -> bytes:
    """A Parquet file of two rows whose footer has this where a Hugging Face schema is looked for."""
    table = pa.table({"text": ["a", "b"], "label": pa.array([0, 1])})
    return parquet(table.replace_schema_metadata({"huggingface": content}))


def csv_of(rows: Sequence[str], header: str = "text,label") -> bytes:
    """A CSV file of these lines."""
    return "\n".join([header, *rows, ""]).encode()
