"""Data files of a job, read: what a confined process does with those of strangers (`app.confined`).

Of each file the columns that are read become one Arrow file, texts and labels as strings, several labels of a row as a
list. Parquet, CSV, JSON Lines and arrays are read as the web service reads them; a JSON file that is another document,
by `datasets`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources.columns import Columns, check_types, choose_columns
from app.sources.csv_and_json import is_array
from app.sources.csv_form import CsvAsked
from app.sources.data_warnings import second_text
from app.sources.size_limits import MAX_LABELS, MAX_WARNINGS
from app.sources.splits import POINTER
from app.sources.tables import read_rows, read_schema, warnings_of
from microlith.contract import DatasetSpec, ModelInfo
from worker.sources.library_errors import first_line

MAX_ROWS = 20_000_000
MAX_BYTES = 2_000_000_000
"""Of inputs and labels of all files together."""

_FIRST_LINE_BYTES = 1_000_000


@dataclass
class _Room:
    """What may yet be read."""

    rows: int = MAX_ROWS
    bytes: int = MAX_BYTES

    def take(self, batch: pa.RecordBatch) -> None:
        """ResourceLimit where the batch passes a bound."""
        self.rows -= batch.num_rows
        self.bytes -= batch.nbytes
        if self.rows < 0 or self.bytes < 0:
            raise ResourceLimit(
                f"The data has more than {MAX_ROWS:,} rows, or more than {MAX_BYTES:,} bytes of inputs and labels.",
                hint="Bring fewer rows: a sample serves as well.",
                pointer=POINTER,
            )


def question(source: DatasetSpec, model: ModelInfo, files: Sequence[Path], into: Path) -> dict[str, Any]:
    """What `answer` is asked, as JSON: the files, and the folder that it writes in."""
    reader = model.model_copy(update={"labels": model.labels if model.multi_label else [], "layers": []})
    return {
        "source": source.model_dump(mode="json"),
        "model": reader.model_dump(mode="json"),
        "files": [str(file) for file in files],
        "into": str(into.resolve()),
    }


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Write what is read of each file, nulls kept, and tell the columns and the lists of class names.

    Raises DatasetInvalid for data that cannot be used, ResourceLimit for more of it than is read.
    """
    source, into = DatasetSpec.model_validate(asked["source"]), Path(asked["into"])
    model = ModelInfo.model_validate(asked["model"])
    files = [_tabular(Path(name), into, number) for number, name in enumerate(asked["files"])]
    csv = CsvAsked.of(source)
    schemas = [read_schema(file, csv) for file in files]
    columns = choose_columns(source, schemas[0], model)
    for schema in schemas:
        check_types(schema, columns, model.image_shape)
    stated = dict.fromkeys(tuple(schema.class_names.get(columns.label, ())) for schema in schemas)
    if sum(map(len, stated)) > 2 * MAX_LABELS:
        raise ResourceLimit(f"The files name more than {2 * MAX_LABELS:,} classes together.", pointer=POINTER)
    room = _Room()
    for number, file in enumerate(files):
        _write(file, columns, csv, room, _part(into, number))
    warnings = [warning for file in files for warning in warnings_of(file, csv)]
    warnings += second_text(schemas[0].types, columns.input, columns.label) if columns.single_texts else []
    class_names = [list(names) for names in stated]
    return {"columns": asdict(columns), "class_names": class_names, "warnings": warnings[:MAX_WARNINGS]}


def batches_of(into: Path, number: int) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Inputs and labels of one of the files asked about, in its order, mapped and checked to be what Arrow says."""
    file = _part(into, number)
    if file.stat().st_size == 0:  # no rows
        return
    with pa.memory_map(str(file)) as mapped, pa.ipc.open_stream(mapped) as stream:
        for batch in stream:
            batch.validate(full=True)
            yield batch.column(0), batch.column(1)


def _part(into: Path, number: int) -> Path:
    return into / f"{number}.arrow"


def _write(file: Path, columns: Columns, csv: CsvAsked, room: _Room, part: Path) -> None:
    with part.open("wb") as sink, ExitStack() as open_files:
        writer: pa.RecordBatchStreamWriter | None = None
        for inputs, labels in read_rows(file, columns.inputs, columns.label, several=columns.several, asked=csv):
            batch = pa.record_batch([inputs, labels], ["input", "label"])
            room.take(batch)
            writer = writer or open_files.enter_context(pa.ipc.new_stream(sink, batch.schema))
            writer.write_batch(batch)


def _tabular(file: Path, into: Path, number: int) -> Path:
    """The file itself, or the rows of a JSON document that is no array as Parquet."""
    if file.suffix.lower() != ".json" or is_array(file) or _has_lines(file):
        return file
    import datasets  # takes longer to import than all else here

    datasets.disable_progress_bars()
    folder = into / f"document-{number}"
    folder.mkdir()
    copy = shutil.copyfile(file, folder / "document.json")
    rows = folder / f"{file.stem}.parquet"
    try:
        datasets.Dataset.from_json(str(copy), cache_dir=str(folder)).to_parquet(rows)
    except MemoryError:
        raise
    except Exception as error:  # of whatever kind: it is the file's
        said = first_line(error.__cause__ or error)
        raise DatasetInvalid(f"{file.name} cannot be read: {said}", pointer=POINTER) from error
    return rows


def _has_lines(file: Path) -> bool:
    """Whether a JSON file starts with an object in its first line, or has such a long one that it may."""
    with file.open("rb") as stream:
        first = stream.readline(_FIRST_LINE_BYTES)
    try:
        return isinstance(json.loads(first), dict) or not first
    except (ValueError, RecursionError):
        return len(first) == _FIRST_LINE_BYTES and first.lstrip()[:1] == b"{"
