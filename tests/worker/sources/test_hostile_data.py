"""Data files that ask for more than they may, or break their reader: a sentence for the job, and the worker goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources.models import describe_model
from microlith.contract import DatasetSpec
from worker.compute.examples import tokenise
from worker.sources import confined_reading
from worker.sources import datasets as datasets_module
from worker.sources.datasets import load_dataset
from worker.sources.images import MAX_PIXELS, prepare, usual_processor


def load(place: Path, **options: Any) -> Any:
    model = describe_model("demo:bert-tiny-wordnet", allow_paths=False)
    assert model is not None
    return load_dataset(DatasetSpec(ref=f"path:{place}"), model, ["train"], allow_paths=True, **options)


def repeated(file: Path, text: str, rows: int, row_group: int = 100_000) -> Path:
    """A small Parquet file of one text so many times."""
    kind = pa.dictionary(pa.int32(), pa.string())
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([text]))
    table = pa.table({"text": texts.cast(kind), "label": texts.cast(kind)})
    pq.write_table(table, file, compression="zstd", store_schema=False, row_group_size=row_group)
    return file


def test_a_small_file_of_gigabytes_is_refused_in_a_sentence_and_the_worker_does_not_grow(tmp_path: Path) -> None:
    file = repeated(tmp_path / "train.parquet", "x" * 1_000_000, 5_000)
    assert file.stat().st_size < 1_000_000
    before = peak_bytes()
    with pytest.raises((ResourceLimit, DatasetInvalid)):
        load(file)
    assert peak_bytes() - before < 200_000_000


def test_more_rows_than_are_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = confined_reading._Room(rows=99)
    with pytest.raises(ResourceLimit, match="more than 20,000,000 rows"):
        room.take(pa.record_batch([pa.array(range(100))], ["input"]))


def test_strangers_files_are_read_by_another_process_with_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    run = datasets_module.confined.run
    monkeypatch.setattr(datasets_module.confined, "run", lambda *args: asked.append(args[0]) or run(*args))
    load(repeated(tmp_path / "train.parquet", "animal", 3))
    [question] = asked
    assert [place.name for place in question.reads] == ["train.parquet"]
    assert question.limits.memory_bytes <= 2_000_000_000


def test_a_reader_that_a_file_ends_is_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets_module.confined_reading, "__name__", "tests.worker.sources.ending")
    with pytest.raises(DatasetInvalid, match="end the process that reads them"):
        load(repeated(tmp_path / "train.parquet", "animal", 3))


def test_a_cancel_ends_the_reading(tmp_path: Path) -> None:
    class CancelledError(Exception):
        pass

    def cancelled() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        load(repeated(tmp_path / "train.parquet", "animal", 3), meanwhile=cancelled)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    side = int(MAX_PIXELS**0.5) + 1
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    with pytest.raises(ResourceLimit, match="The image of row 0 has"):
        prepare([bomb], [0], usual_processor([1, 8, 8]), [1, 8, 8])


def test_long_texts_are_tokenised_few_at_a_time() -> None:
    calls: list[int] = []

    def tokenizer(texts: Sequence[str], **_: object) -> dict[str, list[list[int]]]:
        calls.append(sum(map(len, texts)))
        return {"input_ids": [[len(text)] for text in texts]}

    texts = ["a" * 3_000_000, "b" * 900_000, "c" * 200_000, "d" * 5_000_000, "", *["e"] * 1001]
    assert tokenise(texts, tokenizer, 8).ids == [[len(text)] for text in texts]
    assert calls == [3_900_000, 200_000, 5_000_000, 1000 - 1, 2]


def peak_bytes() -> int:
    """The most memory this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
