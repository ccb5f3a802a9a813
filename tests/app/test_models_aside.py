"""Models of strangers are described in a process that can do nothing else, once for each content of their files."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.confined import Reading
from app.domain.errors import ResourceLimit, UnsupportedModel
from app.sources import confined_models, models
from app.sources.confined_models import describe_model, describe_place, known_models
from app.sources.findings import Remembered
from app.sources.references import Reference
from tests.model_folders import CONFIG, folder_at


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """What confined processes are asked, from nothing remembered on."""
    asked: list[Reading] = []
    run = confined_models.run

    def counted(reading: Reading) -> Any:
        asked.append(reading)
        return run(reading)

    monkeypatch.setattr(confined_models, "run", counted)
    monkeypatch.setattr(confined_models, "remembered_models", Remembered())
    return asked


def test_a_stranger_is_described_elsewhere_and_as_here(
    tmp_path: Path, readings: list[Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = f"path:{folder_at(tmp_path / 'mine', {'README.md': b'---' + b'license: mit'})}"
    here = models.describe_model(ref, allow_paths=True)
    monkeypatch.setattr(models, "describe_folder", None)
    monkeypatch.setattr(confined_models, "describe_folder", None)
    assert describe_model(ref, allow_paths=True) == here
    assert [reading.module for reading in readings] == ["app.sources.models"]


def test_each_content_is_looked_at_once_whoever_asks(tmp_path: Path, readings: list[Reading]) -> None:
    folder = folder_at(tmp_path / "mine", {})
    refs = [Reference("upload", f"mdl_{n}", place=folder, called=f"{n}.zip") for n in range(6)]
    with ThreadPoolExecutor(6) as many:
        found = list(many.map(lambda ref: describe_place(ref, folder), refs))
    assert [(info.id, info.name) for info in found] == [(f"mdl_{n}", str(n)) for n in range(6)]
    assert len(readings) == 1
    for name, content in {
        "tokenizer_config.json": {"model_max_length": 7},
        "config.json": CONFIG | {"id2label": {"0": "a", "1": "b", "2": "c"}},
        "README.md": b"---\nlicense: mit\n---\n",
    }.items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(text)
        describe_place(refs[0], folder)
    last = describe_place(refs[0], folder)
    assert (last.max_length, last.labels, last.licence) == (7, ["a", "b", "c"], "mit")
    assert len(readings) == 4


def test_what_is_wrong_is_looked_at_again_and_told_as_it_is(tmp_path: Path, readings: list[Reading]) -> None:
    folder = folder_at(tmp_path / "mine", {"config.json": CONFIG | {"id2label": None, "num_labels": 10**9}})
    for _ in range(2):
        with pytest.raises(UnsupportedModel, match=r"3 outputs and config\.json names 1000000000") as refusal:
            describe_model(f"path:{folder}", allow_paths=True)
        assert refusal.value.pointer == "/model"
    assert len(readings) == 2


def test_a_link_is_followed_and_no_file_beside_it_can_be_read(tmp_path: Path, readings: list[Reading]) -> None:
    blobs, folder = tmp_path / "blobs", tmp_path / "snapshot"
    folder_at(blobs, {})
    folder.mkdir()
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    (blobs / "secret.json").write_text("{}")
    assert describe_model(f"path:{folder}", allow_paths=True) is not None
    (reading,) = readings
    assert {place.resolve().name for place in reading.reads} == {
        "snapshot",
        "config.json",
        "model.safetensors",
        "vocab.txt",
    }


def test_what_comes_with_the_server_is_described_here(readings: list[Reading]) -> None:
    (info,) = known_models()
    assert (info.id, info.label_count, info.layer_count) == ("demo:bert-tiny-wordnet", 12, len(info.layers))
    assert not readings


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined_models, "MAX_FILES", 2)
    with pytest.raises(ResourceLimit, match="more than 2 files"):
        describe_model(f"path:{folder_at(tmp_path, {})}", allow_paths=True)


def test_the_oldest_answers_go_when_all_are_longer_than_they_may_be() -> None:
    known = Remembered(most=25)
    looks: list[int] = []

    def look(number: int) -> str:
        looks.append(number)
        return "x" * 10

    for number in (1, 2, 1, 3, 2, 3, 1):
        known.once(number, lambda number=number: look(number))  # type: ignore[misc]
    assert looks == [1, 2, 3, 1]


def test_who_waits_for_a_look_that_fails_hears_it_and_the_next_looks_again() -> None:
    known = Remembered()

    def broken() -> str:
        raise UnsupportedModel("no")

    for _ in range(2):
        with pytest.raises(UnsupportedModel):
            known.once("it", broken)
    assert known.once("it", lambda: "found") == "found"
