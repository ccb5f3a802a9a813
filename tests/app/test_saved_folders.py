"""Folders that `save_to_disk` of `datasets` wrote: Arrow files, read as Parquet is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DatasetInvalid
from app.sources.confined_data import describe_dataset
from app.sources.uploaded import roles_there
from microlith.contract import DatasetInfo, DatasetSpec
from tests.data_files import SAVED_NAMES, save, save_splits


def describe(place: Path, *roles: str, **fields: Any) -> DatasetInfo:
    info = describe_dataset(DatasetSpec(ref=f"path:{place}", **fields), roles or ("train",), allow_paths=True)
    assert info is not None
    return info


def test_each_split_is_found_in_its_folder_with_all_its_shards(tmp_path: Path) -> None:
    info = describe(save_splits(tmp_path / "saved"), "train", "test")
    assert {role: split.labels for role, split in info.splits.items()} == {
        "train": {"neg": 2, "pos": 3},
        "test": {"neg": 0, "pos": 1},
    }
    assert info.class_names == SAVED_NAMES


def test_a_single_split_serves_as_all_and_can_be_cut(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [0, 1] * 10)
    info = describe(folder, "train", "test", carve={"test": 0.5})
    assert {role: split.labels for role, split in info.splits.items()} == {
        "train": {"neg": 5, "pos": 5},
        "test": {"neg": 5, "pos": 5},
    }
    assert roles_there(folder, DatasetSpec(ref="demo:x")) == ["train", "validation", "test"]


def test_what_datasets_keeps_beside_the_data_is_no_data(tmp_path: Path) -> None:
    folder = save_splits(tmp_path / "saved")
    (folder / "train" / "cache-0123.arrow").write_bytes(b"not read")
    with pytest.raises(DatasetInvalid, match=r"Data files there: test/data-00000-of-00001\.arrow, train/data-"):
        describe(folder, "validation")


def test_a_damaged_arrow_file_is_named(tmp_path: Path) -> None:
    folder = save_splits(tmp_path / "saved")
    (file,) = (folder / "test").glob("*.arrow")
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(DatasetInvalid, match=r"data-00000-of-00001\.arrow cannot be read"):
        describe(folder, "test")
