"""What a model is known by: all files that decide what it answers, by content, however they are dated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.services.planning import resolve
from app.sources import demo
from app.sources.confined_models import describe_model
from app.sources.reference_files import sha256, stamp
from microlith.contract import JobSpec
from tests.model_folders import CONFIG, folder_at, weights
from tests.work import DEMO


def written_unseen(file: Path, content: bytes) -> None:
    """Other bytes of the same count, dated as the old ones were."""
    before = file.stat()
    assert len(content) == before.st_size
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def identity_of(folder: Path) -> str:
    info = describe_model(f"path:{folder}", allow_paths=True)
    assert info
    assert info.content_sha256
    return info.content_sha256


def test_a_file_that_was_written_under_its_old_date_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"before")
    first = sha256(stamp(file))
    written_unseen(file, b"after!")
    assert sha256(stamp(file)) != first


def test_a_file_that_another_one_took_the_place_of_is_read_again(tmp_path: Path) -> None:
    file, other = tmp_path / "weights", tmp_path / "other"
    file.write_bytes(b"before")
    other.write_bytes(b"after!")
    first = sha256(stamp(file))
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert sha256(stamp(file)) != first


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "config.json").write_text(json.dumps(CONFIG | {"hidden_act": "relu"})),
        lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"),
        lambda folder: (folder / "special_tokens_map.json").write_text("{}"),
        lambda folder: (folder / "spm.model").write_bytes(b"pieces"),
        lambda folder: written_unseen(folder / "model.safetensors", weights()[:-1] + b"\1"),
    ],
    ids=["config", "vocabulary", "tokenizer's settings", "pieces", "weights under the same date"],
)
def test_each_file_that_is_read_is_part_of_a_models_identity(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = folder_at(tmp_path / "mine", {})
    before = identity_of(folder)
    change(folder)
    assert identity_of(folder) != before


def test_what_is_not_read_and_where_it_lies_are_no_part_of_it(tmp_path: Path) -> None:
    folder = folder_at(tmp_path / "mine", {})
    before = identity_of(folder)
    (folder / "README.md").write_text("# Mine")
    (folder / "training.log").write_text("loss 0.1")
    assert identity_of(folder) == before
    assert identity_of(folder.rename(tmp_path / "elsewhere")) == before


@pytest.mark.parametrize(("name", "setting"), [("config.json", "layer_norm_eps"), ("tokenizer_config.json", "x")])
def test_a_job_is_another_one_when_its_model_answers_or_reads_otherwise(
    tmp_path: Path, name: str, setting: str
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(demo.FOLDER / "bert-tiny-wordnet", folder)
    spec = JobSpec.model_validate(DEMO | {"model": f"path:{folder}"})
    before = resolve(spec, allow_paths=True).fingerprint
    assert resolve(spec, allow_paths=True).fingerprint == before
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | {setting: 0.5}))
    assert resolve(spec, allow_paths=True).fingerprint != before
