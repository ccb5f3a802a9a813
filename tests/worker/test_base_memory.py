"""What a base measures to is remembered by what decides it, and never believed blindly."""

import json
from pathlib import Path

import pytest

from app.storage.folder import FolderStore
from microlith.contract import BaseResult, ClassScore, Report
from microlith.contract.module import Macro
from worker.kinds.remembered_base import BaseMemory

FACTS = {"model": "a", "dataset": "b"}


def measured(f1: float = 0.5) -> BaseResult:
    macro = Macro(precision=f1, recall=f1, f1=f1)
    row = ClassScore(id=0, label="act", precision=f1, recall=f1, f1=f1, support=4)
    return BaseResult(parameters=10, report=Report(classes=[row], macro=macro, accuracy=f1, loss=0.7, exp_loss=2.0))


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    (tmp_path / "objects").mkdir()
    return FolderStore(tmp_path / "objects")


def memory(store: FolderStore, tmp_path: Path, **changed: str) -> BaseMemory:
    return BaseMemory(FACTS | changed, store, tmp_path, lambda: None)


def test_what_was_measured_is_recalled_by_its_facts_alone(store: FolderStore, tmp_path: Path) -> None:
    assert memory(store, tmp_path).recall() is None
    memory(store, tmp_path).keep(measured())
    assert memory(store, tmp_path).recall() == measured()
    assert memory(store, tmp_path, dataset="c").recall() is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"f1": 0.5', '"f1": 0.9'),
        lambda text: text.replace('"dataset": "b"', '"dataset": "c"'),
        lambda _: json.dumps({"facts": FACTS}),
        lambda _: "[]",
        lambda text: text + " " * 5_000_000,
    ],
    ids=["cut off", "other numbers", "of other data", "without numbers", "something else", "too long"],
)
def test_a_damaged_or_foreign_memory_is_none_and_is_made_anew(store: FolderStore, tmp_path: Path, spoil) -> None:
    kept = memory(store, tmp_path)
    kept.keep(measured())
    path = store.local_path(kept.key)
    path.write_text(spoil(path.read_text()))
    assert kept.recall() is None
    kept.keep(measured())
    assert kept.recall() == measured()
