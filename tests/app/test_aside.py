"""Data files are looked at by a confined process that ends, whatever they do to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from app import confined
from app.confined import Limits, Reading, landlock
from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources import confined_data
from app.sources.datasets import describe_dataset
from app.sources.references import Reference
from microlith.contract import DatasetSpec
from tests.data_files import parquet, repeated

STORY = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from app import confined
from app.domain.errors import MicrolithError
from app.sources import confined_data
from microlith.contract import DatasetSpec

started, run = [], confined.run
def counted(reading):
    started.append(reading)
    return run(reading)
confined.run = counted

def ask(ref):
    try:
        return confined_data.describe_dataset(DatasetSpec(ref=ref), ["train"], allow_paths=True).model_dump(mode="json")
    except MicrolithError as error:
        return [type(error).__name__, error.detail, error.pointer]

with ThreadPoolExecutor(8) as many:
    answers = list(many.map(ask, [sys.argv[1]] * 8))
assert all(answer == answers[0] for answer in answers)
first = len(started)
open(sys.argv[1].removeprefix("path:"), "a").write("one more,animal\\n")
later = ask(sys.argv[1])
print(json.dumps([answers[0], first, later, ask(sys.argv[2]), len(started), "pyarrow" in sys.modules]))
"""


def test_each_content_is_looked_at_once_by_a_process_that_ends_and_errors_come_back_whole(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("text,label\na cat,animal\nan oak,plant\n")
    bad.write_text("text,colour\na cat,red\n")
    here = describe_dataset(DatasetSpec(ref=f"path:{good}"), ["train"], allow_paths=True)
    command = [sys.executable, "-c", STORY, f"path:{good}", f"path:{bad}"]
    done = subprocess.run(command, capture_output=True, check=True)
    answers: list[Any] = json.loads(done.stdout)
    there, first, later, error, looks, grown = answers
    assert here is not None
    assert there == here.model_dump(mode="json")
    assert later["splits"]["train"]["rows"] == 3
    assert (error[0], error[2]) == ("DatasetInvalid", "/dataset/label_column")
    assert "colour" in error[1]
    assert (first, looks, grown) == (1, 3, False)


def described(place: Path, **limits: int) -> Any:
    """What the confined process tells of a file, within these limits."""
    source = DatasetSpec(ref="dst_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    ref = Reference("upload", source.ref, place=place, called=place.name)
    asked = confined_data.question(source, ["train"], None, ref, place)
    bounds = Limits(**limits)  # type: ignore[arg-type]
    return confined.run(
        Reading("app.sources.confined_answers", asked, DatasetInvalid, "/dataset", reads=[place], limits=bounds)
    )


def test_a_process_that_could_read_them_itself_has_strangers_files_read_by_a_confined_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[Reading] = []

    def refused(reading: Reading) -> None:
        readings.append(reading)
        raise DatasetInvalid("It was asked.")

    monkeypatch.setattr(confined, "run", refused)
    assert "pyarrow" in sys.modules
    (tmp_path / "d.csv").write_text("text,label\na,b\n")
    with pytest.raises(DatasetInvalid, match="It was asked"):
        confined_data.describe_dataset(DatasetSpec(ref=f"path:{tmp_path}/d.csv"), ["train"], allow_paths=True)
    assert set(readings[0].reads) == {tmp_path / "d.csv"}
    assert list(readings[0].writes) == []


@pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock (5.13 and later do)")
def test_a_data_folder_cannot_name_files_outside_it(tmp_path: Path) -> None:
    (tmp_path / "others.csv").write_text("text,label\nsecret,secret\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").symlink_to(tmp_path / "others.csv")
    with pytest.raises(DatasetInvalid, match=r"train\.csv cannot be read: Permission denied"):
        described(tmp_path / "mine")


def test_a_folder_of_links_is_read_where_its_user_names_it(tmp_path: Path) -> None:
    """As the hub's own cache is laid out; where links may lead is checked before."""
    (tmp_path / "blob").write_text("text,label\na cat,animal\nan oak,plant\n")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "train.csv").symlink_to(tmp_path / "blob")
    found = confined_data.describe_dataset(
        DatasetSpec(ref=f"path:{tmp_path / 'snapshot'}"), ["train"], allow_paths=True
    )
    assert found is not None
    assert found.splits["train"].rows == 2


def test_a_million_ordinary_rows_are_read_in_little_memory(tmp_path: Path) -> None:
    """200 MB of texts that are all different, in one row group; the library alone takes a third of it."""
    texts = np.random.default_rng(0).integers(97, 123, (1_000_000, 200), dtype=np.uint8)
    offsets = np.arange(0, texts.size + 1, 200, dtype=np.int32)
    column = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts))
    labels = pa.array(np.arange(len(texts)) % 5)
    table = pa.table({"text": column, "label": labels})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet", row_group_size=len(texts))
    told = described(tmp_path / "d.parquet", memory_bytes=220_000_000)
    assert told["splits"]["train"] == {"rows": 1_000_000, "labels": {str(label): 200_000 for label in range(5)}}


def test_a_text_that_a_file_holds_once_and_repeats_is_read_in_little_memory(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_bytes(repeated("x" * 400_000, 600))
    told = described(tmp_path / "d.parquet", memory_bytes=300_000_000)
    assert told["splits"]["train"]["rows"] == 600


def test_who_brings_a_file_that_takes_too_much_memory_is_told_how_much_there_was(tmp_path: Path) -> None:
    """A page of 300 MB cannot be read in parts, whatever the footer says."""
    texts = pa.array(["x" * 1_000_000] * 300, pa.large_string())
    table = pa.table({"text": texts, "label": ["a", "b"] * 150})
    (tmp_path / "d.parquet").write_bytes(parquet(table, compression="zstd", use_dictionary=False))
    with pytest.raises(ResourceLimit, match="more memory than allowed") as refusal:
        described(tmp_path / "d.parquet", memory_bytes=180_000_000)
    assert refusal.value.pointer == "/dataset"
    assert "smaller row groups" in (refusal.value.hint or "")
