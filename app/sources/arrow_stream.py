"""Arrow files, as `save_to_disk` of `datasets` writes them: read batch by batch from the mapped file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

from app.sources.valid_batches import validated


def schema(file: Path) -> pa.Schema:
    """The columns of a file, from its first message."""
    with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
        return stream.schema


def batches(file: Path, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    """These columns in batches of at most `rows`."""
    with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
        for batch in validated(file, (whole.select(columns) for whole in stream)):
            yield from (batch.slice(at, rows) for at in range(0, batch.num_rows, rows))
