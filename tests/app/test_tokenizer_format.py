"""A tokenizer.json of another version is refused with the plan, by the library that would have to read it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import UnsupportedModel
from app.sources.confined_models import describe_model
from app.sources.tokenizer_format import check_format
from tests.archives import MODEL

FILE = "tokenizer.json"
NEW: list[dict[str, Any]] = [
    {"pre_tokenizer": {"type": "FutureSplit"}},
    {"normalizer": {"type": "FutureForm"}},
    {"post_processor": {"type": "FutureProcessing"}},
    {"decoder": {"type": "Future"}},
    {"model": {"type": "FutureModel", "vocab": {"a": 0}}},
    {"version": "9.0"},
]
OWN: list[dict[str, Any]] = [
    {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
    {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
    {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"},
    {"type": "Unigram", "vocab": [["<pad>", 0.0], ["<unk>", 0.0], ["a", -1.5]], "unk_id": 1, "byte_fallback": False},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "mine"))


def change(folder: Path, **parts: Any) -> None:
    document = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(document | parts))


@pytest.mark.parametrize("parts", NEW, ids=lambda parts: str(next(iter(parts))))
def test_another_version_is_refused_with_the_line_that_converts_it(folder: Path, parts: dict[str, Any]) -> None:
    change(folder, **parts)
    with pytest.raises(UnsupportedModel, match=r"cannot be read by tokenizers \d") as raised:
        check_format(folder, pointer="/model")
    assert "save_pretrained" in str(raised.value.hint)
    assert raised.value.pointer == "/model"


def test_it_is_known_before_anything_is_queued(folder: Path) -> None:
    change(folder, **NEW[0])
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json cannot be read"):
        describe_model(f"path:{folder}", allow_paths=True)


@pytest.mark.parametrize("model", OWN, ids=lambda model: str(model["type"]))
def test_what_the_library_reads_is_let_through_without_its_vocabulary(folder: Path, model: dict[str, Any]) -> None:
    check_format(folder, pointer="/model")
    change(folder, model=model)
    check_format(folder, pointer="/model")


@pytest.mark.parametrize("text", ["", "{", "[]", "version"])
def test_a_file_that_holds_no_object_is_refused_though_there_is_a_list_beside_it(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json cannot be read: "):
        check_format(folder, pointer="/model")
    (folder / FILE).unlink()
    check_format(folder, pointer="/model")
