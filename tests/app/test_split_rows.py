"""Slices and carved splits: which rows each split has, and what is told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.domain.errors import DatasetInvalid
from app.services.planning import plan, resolve
from app.sources.datasets import describe_dataset
from app.sources.split_rows import carve_rows, choose_rows
from app.sources.splits import SplitFiles
from microlith.contract import Carve, DatasetInfo, DatasetSpec, JobSpec
from tests.work import DEMO

ROLES = ("train", "validation", "test")
LABELS = ["a"] * 50 + ["b"] * 30 + ["c"] * 20


def write(file: Path, labels: Sequence[str] = LABELS) -> Path:
    file.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pa.table({"text": [f"text {n}" for n in range(len(labels))], "label": labels}), file)
    return file


def describe(place: Path, *roles: str, **fields: Any) -> DatasetInfo:
    source = DatasetSpec(ref=f"path:{place}", **fields)
    info = describe_dataset(source, roles or ROLES, allow_paths=True)
    assert info is not None
    return info


def labels_of(info: DatasetInfo, role: str) -> dict[str, int]:
    return info.splits[role].labels


def test_one_file_is_cut_into_splits_that_share_nothing(tmp_path: Path) -> None:
    cuts = {"train": "train[:60%]", "validation": "train[60%:80%]", "test": "train[80%:]"}
    info = describe(write(tmp_path / "all.parquet"), splits=cuts)
    assert [labels_of(info, role) for role in ROLES] == [{"a": 50, "b": 10}, {"b": 20}, {"c": 20}]
    assert info.warnings == []


def test_files_of_a_folder_are_cut_by_split_or_by_file_name(tmp_path: Path) -> None:
    write(tmp_path / "training.parquet")
    info = describe(tmp_path, "train", "test", splits={"train": "train[10:]", "test": "training.parquet[:10]"})
    assert {role: split.rows for role, split in info.splits.items()} == {"train": 90, "test": 10}


def test_a_slice_goes_over_the_shards_of_a_split(tmp_path: Path) -> None:
    for number, part in enumerate((LABELS[:50], LABELS[50:])):
        write(tmp_path / f"train-0000{number}-of-00002.parquet", part)
    info = describe(tmp_path, "train", splits={"train": "train[40:60]"})
    assert labels_of(info, "train") == {"a": 10, "b": 10}


def test_a_split_of_which_files_are_missing_is_refused_unless_one_is_named(tmp_path: Path) -> None:
    for number in (0, 2):
        write(tmp_path / f"train-0000{number}-of-00004.parquet")
    with pytest.raises(DatasetInvalid, match=r"has 2 of its 4 files\. Missing: 00001, 00003\.") as refusal:
        describe(tmp_path, "train")
    assert refusal.value.pointer == "/dataset/splits/train"
    assert describe(tmp_path, "train", splits={"train": "train-00002-of-00004.parquet"}).splits["train"].rows == 100


def test_rows_that_two_splits_share_are_counted_and_told(tmp_path: Path) -> None:
    info = describe(
        write(tmp_path / "all.parquet"), "train", "test", splits={"train": "train[:70]", "test": "train[60:]"}
    )
    (warning,) = info.warnings
    assert warning.startswith("The train and test splits share 10 rows: what calibrates is also what measures")


@pytest.mark.parametrize(("cut", "said"), [("train[50:50]", "has no rows"), ("train[:200]", "beyond the 100 rows")])
def test_a_slice_without_rows_or_beyond_them_is_refused_at_its_place(tmp_path: Path, cut: str, said: str) -> None:
    with pytest.raises(DatasetInvalid, match=said) as refusal:
        describe(write(tmp_path / "all.parquet"), splits={"test": cut})
    assert refusal.value.pointer == "/dataset/splits/test"


def test_a_carved_split_has_its_fraction_of_every_label(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet")
    info = describe(tmp_path, carve={"test": 0.2, "validation": 0.1})
    for role, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        expected = {label: share * count for label, count in Counter(LABELS).items()}
        assert labels_of(info, role) == pytest.approx(expected, abs=1), role
    assert sum(split.rows for split in info.splits.values()) == len(LABELS)
    assert info.warnings == []


def test_carving_leaves_train_the_rest_also_where_one_file_serves_as_everything(tmp_path: Path) -> None:
    info = describe(write(tmp_path / "all.parquet"), carve={"test": 0.2})
    assert {role: split.rows for role, split in info.splits.items()} == {"train": 80, "validation": 80, "test": 20}
    (warning,) = info.warnings
    assert warning.startswith("The train and validation splits are the same rows")


def test_what_is_carved_does_not_depend_on_which_splits_are_read(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet")
    both = describe(tmp_path, "train", "test", carve={"test": 0.25})
    assert labels_of(describe(tmp_path, "test", carve={"test": 0.25}), "test") == labels_of(both, "test")


def carved(labels: Sequence[int], carve: Carve) -> list[int]:
    return list(carve_rows(pa.array(labels, pa.int32()), b"\1" * len(labels), carve))


def test_the_seed_and_the_fractions_alone_decide_which_rows_are_carved() -> None:
    labels = [number % 3 for number in range(300)]
    carve = Carve(test=0.2, validation=0.2)
    owners = carved(labels, carve)
    assert owners == carved(labels, carve)
    assert owners != carved(labels, carve.model_copy(update={"seed": 45}))
    assert Counter(owners) == {1: 180, 2: 60, 3: 60}
    for label in range(3):
        assert Counter(owner for owner, of in zip(owners, labels, strict=True) if of == label) == {1: 60, 2: 20, 3: 20}


def test_rows_are_carved_from_all_over_the_file() -> None:
    rows = [row for row, owner in enumerate(carved([0] * 1000, Carve(test=0.2))) if owner == 2]
    assert len(rows) == 200
    assert all(30 < sum(start <= row < start + 250 for row in rows) < 70 for start in range(0, 1000, 250))


def test_only_rows_of_the_slice_are_carved() -> None:
    inside = b"\0" * 50 + b"\1" * 50
    owners = carve_rows(pa.array([0] * 100, pa.int32()), inside, Carve(test=0.5))
    assert (Counter(owners[:50]), Counter(owners[50:])) == ({0: 50}, {1: 25, 2: 25})


def test_labels_are_told_apart_by_their_names_in_whatever_order_files_meet_them() -> None:
    one, other = (pa.array(part).dictionary_encode() for part in (["x", "y"] * 10, ["y", "x"] * 10))
    splits = {"train": SplitFiles(["1", "2"]), "test": SplitFiles(["1", "2"])}
    masks = choose_rows(splits, Carve(test=0.5), {"1": one, "2": other})
    chosen = [*compress(one.to_pylist(), masks["test"]["1"]), *compress(other.to_pylist(), masks["test"]["2"])]
    assert Counter(chosen) == {"x": 10, "y": 10}


@pytest.mark.parametrize("name", ["test.parquet", "mine.parquet"])
def test_a_split_that_is_there_is_not_carved(tmp_path: Path, name: str) -> None:
    write(tmp_path / "train.parquet")
    write(tmp_path / name)
    splits = {} if name == "test.parquet" else {"test": name}
    with pytest.raises(DatasetInvalid, match="make a test split, and there is one") as refusal:
        describe(tmp_path, splits=splits, carve={"test": 0.2})
    assert refusal.value.pointer == "/dataset/carve/test"


def test_a_missing_split_is_told_with_both_ways_to_have_one(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match="no file for the") as refusal:
        describe(tmp_path, "train", "test")
    assert '"carve": {"test": 0.2}' in str(refusal.value.hint)


def test_labels_that_a_split_has_no_example_of_are_told_with_how_many_there_are(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["a"] * 20 + ["b"])
    (warning,) = [text for text in describe(tmp_path, "train", "test", carve={"test": 0.2}).warnings if "carve" in text]
    assert warning == "`carve` leaves the test split without an example of b (1 in all)."


def test_fractions_of_few_rows_that_come_to_none_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["a", "b", "a", "b"])
    with pytest.raises(DatasetInvalid, match="gives the test split none of 4 rows") as refusal:
        describe(tmp_path, "train", "test", carve={"test": 0.2})
    assert refusal.value.pointer == "/dataset/carve/test"


def test_another_slice_or_seed_is_another_job_and_the_plan_says_what_is_carved(tmp_path: Path) -> None:
    labels = ["animal", "plant"] * 100
    write(tmp_path / "all.parquet", labels)

    def resolved(**fields: Any) -> Any:
        dataset = {"ref": f"path:{tmp_path / 'all.parquet'}", **fields}
        return resolve(JobSpec.model_validate(DEMO | {"concerns": ["animal"], "dataset": dataset}), allow_paths=True)

    ways: list[dict[str, Any]] = [
        {},
        {"splits": {"train": "train[:50%]"}},
        {"splits": {"train": "train[:100]"}},
        {"carve": {"test": 0.2, "validation": 0.2}},
        {"carve": {"test": 0.2, "validation": 0.2, "seed": 1}},
    ]
    assert len({resolved(**way).fingerprint for way in ways}) == len(ways)
    planned = plan(resolved(**ways[3])).resolved.dataset
    assert planned is not None
    assert planned.rows == {"train": 120, "validation": 40, "test": 40}
    assert planned.splits == {"train": "train", "validation": "0.2 of train", "test": "0.2 of train"}
