"""What a base measures to is remembered by what decides it, and never believed blindly."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.storage.folder import FolderStore
from microlith.contract import BaseResult, ClassScore, Report
from microlith.contract.module import Macro
from worker.kinds.memory import LARGEST_BYTES, Memory
from worker.kinds.remembered_base import BaseMemory, MeasuredBase

FACTS = {"model": "a", "dataset": "b"}


def measured(f1: float = 0.5) -> MeasuredBase:
    macro = Macro(precision=f1, recall=f1, f1=f1)
    row = ClassScore(id=0, label="act", precision=f1, recall=f1, f1=f1, support=4)
    report = Report(classes=[row], macro=macro, accuracy=f1, loss=0.7, exp_loss=2.0)
    return MeasuredBase(BaseResult(parameters=10, report=report), np.array([0, 3, 1, 0]))


def same(one: MeasuredBase | None, other: MeasuredBase) -> bool:
    return one is not None and one.result == other.result and np.array_equal(one.answers, other.answers)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "objects").mkdir()
    return FolderStore(tmp_path / "objects")


def memory(store: FolderStore, tmp_path: Path, **changed: str) -> BaseMemory:
    return BaseMemory(Memory(FACTS | changed, store, tmp_path, lambda: None))


def test_what_was_measured_is_recalled_by_its_facts_alone(store: FolderStore, tmp_path: Path) -> None:
    assert memory(store, tmp_path).recall() is None
    memory(store, tmp_path).keep(measured())
    assert same(memory(store, tmp_path).recall(), measured())
    assert memory(store, tmp_path, dataset="c").recall() is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"f1": 0.5', '"f1": 0.9'),
        lambda text: text.replace('"dataset": "b"', '"dataset": "c"'),
        lambda _: json.dumps({"facts": FACTS}),
        lambda _: "[]",
        lambda text: text + " " * LARGEST_BYTES,
    ],
    ids=["cut off", "other numbers", "of other data", "without numbers", "something else", "too long"],
)
def test_a_damaged_or_foreign_memory_is_none_and_is_made_anew(store: FolderStore, tmp_path: Path, spoil) -> None:
    kept = memory(store, tmp_path)
    kept.keep(measured())
    path = store.local_path(kept.memory.key)
    path.write_text(spoil(path.read_text()))
    assert kept.recall() is None
    kept.keep(measured())
    assert same(kept.recall(), measured())


def test_what_is_too_long_is_not_remembered(store: FolderStore, tmp_path: Path) -> None:
    kept = memory(store, tmp_path)
    kept.memory.keep("a" * LARGEST_BYTES)
    assert store.head(kept.memory.key) is None


def test_answers_of_several_labels_keep_their_shape(store: FolderStore, tmp_path: Path) -> None:
    table = MeasuredBase(measured().result, np.array([[1, 0, 1], [0, 0, 0]]))
    memory(store, tmp_path).keep(table)
    assert same(memory(store, tmp_path).recall(), table)
