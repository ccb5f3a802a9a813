"""Data files as callers send them, and as nobody should."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
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


SAVED_NAMES = ["neg", "pos"]


def save(folder: Path, labels: list[int], shards: int = 1) -> Path:
    """One split, as `Dataset.save_to_disk` writes it."""
    folder.mkdir(parents=True)
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": SAVED_NAMES, "_type": "ClassLabel"}}
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    for shard in range(shards):
        own = labels[shard::shards]
        table = pa.table({"text": [f"text {n}" for n in range(len(own))], "label": own}, schema=schema)
        name = folder / f"data-{shard:05d}-of-{shards:05d}.arrow"
        with pa.OSFile(str(name), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
            stream.write_table(table, max_chunksize=2)
    (folder / "state.json").write_text("{}")
    (folder / "dataset_info.json").write_text("{}")
    return folder


def save_splits(folder: Path) -> Path:
    """Several, as `DatasetDict.save_to_disk` writes them."""
    save(folder / "train", [0, 1, 1, 0, 1], shards=2)
    save(folder / "test", [1])
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    return folder
