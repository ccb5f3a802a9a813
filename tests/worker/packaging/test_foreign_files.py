"""Damaged and foreign files on purpose: whoever opens one is told what is wrong, never shown a traceback."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
from transformers import BertConfig

from app.domain.errors import UnsupportedModel
from app.sources.demo import FOLDER
from microlith.client.archive import unpack
from microlith.errors import InvalidMask, NotABase, UnsafeArchive
from microlith.masks import Base, read_mask
from tests.builders import tiny_bert
from worker.sources.models import load_model


def damaged(folder, name, content):
    """A copy of a model's folder with other bytes in one file."""
    (folder / name).write_bytes(content)
    return folder


def config(**changes):
    return json.dumps(BertConfig(architectures=["BertForSequenceClassification"]).to_dict() | changes).encode()


@pytest.fixture
def folder(tmp_path):
    """A tiny model's."""
    tiny_bert().save_pretrained(tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(FOLDER / "bert-tiny-wordnet" / name, tmp_path / "model" / name)
    return tmp_path / "model"


ODD_MODELS = {
    "weights cut short": ("model.safetensors", b"\x40\0\0\0\0\0\0\0{"),
    "weights of nothing": ("model.safetensors", b""),
    "weights that are text": ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\n"),
    "config cut short": ("config.json", config()[:-9]),
    "config of another kind": ("config.json", b"[]"),
    "config without an end": ("config.json", b"[" * 100_000),
    "config that is no text": ("config.json", b"\xff\xfe\x00"),
    "config with a word for a number": ("config.json", config(hidden_size="wide")),
    "config with a number for labels": ("config.json", config(id2label=5)),
    "config of an unknown model": ("config.json", config(model_type="unheard-of")),
}


@pytest.mark.parametrize("odd", ODD_MODELS)
def test_a_damaged_model_is_no_base_and_no_source(folder, odd):
    damaged(folder, *ODD_MODELS[odd])
    with pytest.raises(NotABase, match=r"transformers cannot open|holds no config\.json"):
        Base.of(folder)
    with pytest.raises(UnsupportedModel):
        load_model(f"path:{folder}", allow_paths=True)


def locked(file):
    """A zip whose one entry says that it is encrypted."""
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("mask.json", b"{}")
    content = bytearray(file.read_bytes())
    for start in (content.find(b"PK\3\4") + 6, content.find(b"PK\1\2") + 8):
        content[start] |= 1
    file.write_bytes(content)


def packed_oddly(file):
    """A zip whose one entry is packed by a method that nobody knows."""
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("mask.json", b"{}")
    content = bytearray(file.read_bytes())
    for start in (content.find(b"PK\3\4") + 8, content.find(b"PK\1\2") + 10):
        content[start] = 77
    file.write_bytes(content)


def file_in_a_file(file):
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("mask", b"{}")
        zipped.writestr("mask/mask.json", b"{}")


def sums_that_are_no_text(file):
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("SHA256SUMS", b"\xff\xfe\x00")


def no_zip(file):
    file.write_bytes(b"<html>404</html>")


def nothing(file):
    file.write_bytes(b"")


@pytest.mark.parametrize("odd", [locked, packed_oddly, file_in_a_file, sums_that_are_no_text, no_zip, nothing])
def test_an_odd_zip_is_no_mask_and_leaves_nothing(tmp_path, odd):
    odd(tmp_path / "odd.zip")
    with pytest.raises(InvalidMask, match=r"^odd\.zip is not a mask that can be applied"):
        read_mask(tmp_path / "odd.zip")
    with pytest.raises(UnsafeArchive):
        unpack(tmp_path / "odd.zip", tmp_path / "module")
    assert [path.name for path in tmp_path.iterdir()] == ["odd.zip"]
