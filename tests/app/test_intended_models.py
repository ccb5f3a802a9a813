"""What a model's files say of one another is compared before anything is queued."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from app.domain.errors import UnsupportedModel
from app.domain.families import LAST_TOKEN
from app.sources import demo
from app.sources.models import describe_model
from microlith.contract import ModelInfo
from tests.model_folders import folder_at, weights

POINTED = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's model, to be spoiled."""
    return Path(shutil.copytree(demo.FOLDER / "bert-tiny-wordnet", tmp_path / "mine"))


def describe(folder: Path) -> ModelInfo:
    info = describe_model(f"path:{folder}", allow_paths=True)
    assert info
    return info


def configure(folder: Path, **settings: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def reweigh(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def prune(tensors: dict[str, Any]) -> None:
    layer = "bert.encoder.layer.0.intermediate.dense.weight"
    tensors[layer] = tensors[layer][:300].copy()


def as_integers(tensors: dict[str, Any]) -> None:
    tensors["classifier.weight"] = tensors["classifier.weight"].astype("int8")


def cut(folder: Path) -> None:
    """A vocabulary of 500 lines, in the place of the whole tokenizer."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join((folder / "vocab.txt").read_text().splitlines()[:500]))


def misnamed(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").rename(folder / "vocab.json")


def adapter(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (adapter, "This is an adapter, not a whole model"),
        (lambda at: configure(at, quantization_config={"quant_method": "gptq"}), r"quantised \('gptq'\)"),
        (lambda at: reweigh(at, as_integers), r"'classifier\.weight' is I8"),
        (lambda at: configure(at, num_hidden_layers=1), "speaks of 1 layers and the weights have 2"),
        (lambda at: configure(at, position_embedding_type="relative_key"), "positions of the kind 'relative_key'"),
        (lambda at: configure(at, vocab_size=99), r"word_embeddings\.weight has 13,403 rows.* by vocab_size .* 99"),
        (lambda at: configure(at, max_position_embeddings=512), "position_embeddings.weight has 128 rows"),
        (lambda at: configure(at, type_vocab_size=7), "token_type_embeddings.weight has 2 rows"),
        (lambda at: configure(at, num_attention_heads=3), "a width of 128 is shared by 3 heads"),
        (lambda at: configure(at, num_attention_heads=0), "a width of 128 is shared by 0 heads"),
        (lambda at: reweigh(at, prune), r"layer\.0\.intermediate\.dense\.weight is \[300, 128\].*it is \[512, 128\]"),
        (cut, "500 pieces and the model embeds 13,403"),
        (misnamed, r"BertTokenizer reads vocab\.txt, or tokenizer\.json, and none of them is there"),
        (lambda at: (at / "model.safetensors").write_bytes(POINTED), r"'model\.safetensors': a Git LFS pointer"),
        (lambda at: (at / "vocab.txt").write_bytes(POINTED), r"'vocab\.txt': a Git LFS pointer"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_was_not_meant_is_refused_at_plan_time(folder: Path, spoil: Callable[[Path], object], told: str) -> None:
    describe(folder)
    spoil(folder)
    with pytest.raises(UnsupportedModel, match=told) as refusal:
        describe(folder)
    assert refusal.value.hint


def test_a_token_that_the_model_does_not_embed_is_named_at_plan_time(folder: Path) -> None:
    file = folder / "tokenizer.json"
    told = json.loads(file.read_text())
    told["added_tokens"].append({"id": 13403, "content": "<new0>", "special": False})
    file.write_text(json.dumps(told))
    with pytest.raises(UnsupportedModel, match="does not embed: <new0>"):
        describe(folder)


def test_some_tokens_less_than_there_are_embeddings_are_no_fault(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join((folder / "vocab.txt").read_text().splitlines()[:13_000]))
    assert describe(folder).labels


@pytest.mark.parametrize("kind", sorted(LAST_TOKEN - {"gpt2", "openai-gpt"}))
def test_a_decoder_without_a_pad_id_is_refused(tmp_path: Path, kind: str) -> None:
    config = {"architectures": ["AForSequenceClassification"], "model_type": kind, "num_labels": 3}
    folder = folder_at(tmp_path / "mine", {"config.json": config, "model.safetensors": weights()})
    with pytest.raises(UnsupportedModel, match="no pad_token_id"):
        describe(folder)
    for known in (config | {"pad_token_id": 0}, config | {"text_config": {"pad_token_id": 0}}):
        assert describe(folder_at(tmp_path / "mine", {"config.json": known})).labels
