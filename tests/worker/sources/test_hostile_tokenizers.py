"""Tokenizers that hang or swell, and folders that break the libraries that open them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from app.domain.errors import ResourceLimit, UnsupportedModel
from app.sources.cache import Cache
from app.sources.demo import FOLDER
from worker.compute.examples import tokenise
from worker.sources import tokenizer_trial
from worker.sources.models import LoadedModel, load_model

DEMO = FOLDER / "bert-tiny-wordnet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(DEMO, tmp_path / "model")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10_000_000)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What confined processes were asked."""
    asked: list[Any] = []
    run = tokenizer_trial.confined.run
    monkeypatch.setattr(tokenizer_trial.confined, "run", lambda question: asked.append(question) or run(question))
    return asked


def load(folder: Path, cache: Cache | None = None) -> LoadedModel:
    return load_model(f"path:{folder}", allow_paths=True, cache=cache)


def rewritten(folder: Path, **parts: object) -> Path:
    """The model with parts of its tokenizer replaced, and none of them left to a class of transformers."""
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))
    return folder


def replacing(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


BOMBS: dict[str, dict[str, Any]] = {
    "a line becomes gigabytes": {
        "normalizer": {"type": "Sequence", "normalizers": [replacing("a", "a" * 100)] * 4},
    },
    "an expression that does not end": {
        "normalizer": None,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a|a|aa)+$"}, "behavior": "Isolated", "invert": False},
    },
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_tokenizer_that_takes_too_much_is_refused_before_the_worker_opens_it(
    bomb: str, folder: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tokenizer_trial, "LIMITS", tokenizer_trial.confined.Limits(memory_bytes=1_500_000_000, cpu_seconds=8)
    )
    with pytest.raises((ResourceLimit, UnsupportedModel)) as refusal:
        load(rewritten(folder, **BOMBS[bomb]), cache)
    assert refusal.value.pointer == "/model"
    assert str(folder.parent) not in refusal.value.detail


def test_a_tokenizer_that_passed_is_not_tried_again_until_it_is_another(
    folder: Path, cache: Cache, tried: list[Any]
) -> None:
    for _ in range(2):
        load(folder, cache)
    assert len(tried) == 1
    load(rewritten(folder, truncation=None, added_tokens=[]), cache)
    assert len(tried) == 2
    load_model("demo:bert-tiny-wordnet", allow_paths=False, cache=cache)
    assert len(tried) == 2, "the demo's own is trusted"


def test_a_tokenizer_that_cannot_be_opened_has_not_passed(folder: Path, cache: Cache, tried: list[Any]) -> None:
    rewritten(folder, model={"type": "Unheard"})
    for _ in range(2):
        with pytest.raises(UnsupportedModel, match="tokenizer cannot be opened"):
            load(folder, cache)
    assert len(tried) == 2


def test_a_tokenizer_that_panics_at_a_text_is_the_models_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.sources.models.probe", lambda *_: None)
    loaded = load(rewritten(folder, **BOMBS["an expression that does not end"]))
    with pytest.raises(UnsupportedModel, match="tokenizer cannot read the texts: Onig"):
        tokenise(["a" * 10_000 + "!"], loaded.tokenizer, 8)


@pytest.mark.parametrize("error", [IndexError, RecursionError, OverflowError, ZeroDivisionError, AssertionError])
def test_whatever_the_library_raises_is_the_models_fault_without_a_place_of_this_machine(
    error: type[Exception], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise error(f"broken at {folder}/model.safetensors, says {torch.__file__}\nand more")

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", breaks)
    with pytest.raises(UnsupportedModel, match="transformers cannot open the model: broken at") as refusal:
        load(folder)
    assert str(folder.parent) not in refusal.value.detail
    assert str(Path(torch.__file__).parent) not in refusal.value.detail
    assert "more" not in refusal.value.detail


def test_want_of_memory_is_not_the_models_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(AutoModelForSequenceClassification, "from_pretrained", breaks)
    with pytest.raises(MemoryError):
        load(folder)
