"""Models by reference, loaded."""

import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from app.domain.errors import SourceUnavailable, UnsafeModel, UnsupportedModel
from app.sources.demo import FOLDER
from worker.sources.models import load_model

torch.set_num_threads(1)
DEMO = FOLDER / "bert-tiny-wordnet"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(DEMO, tmp_path / "model")


@pytest.fixture
def unreachable(monkeypatch):
    """A hub that refuses connections."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache in a folder of the test's own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keep(cache, kind, name, source):
    """Puts `source` into the cache as the only snapshot of a repository, as a download would."""
    repository = cache / f"{kind}s--{name.replace('/', '--')}"
    shutil.copytree(source, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)


def load(folder):
    return load_model(f"path:{folder}", allow_paths=True)


def test_the_demo_model_comes_ready_to_be_measured():
    loaded = load_model("demo:bert-tiny-wordnet", allow_paths=False)
    assert not loaded.model.training
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.max_length, loaded.family.name, loaded.facts.revision) == (128, "bert", None)
    inputs = loaded.tokenizer("a small furry animal that eats seeds", return_tensors="pt")
    assert loaded.labels[loaded.model(**inputs).logits.argmax()] == "animal"


def test_missing_weights_are_an_error_and_never_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsupportedModel, match=r"bert\.encoder\.layer\.1\.output\.dense\.bias"):
        load(folder)


def add_weight(folder, name, *sides):
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {name: torch.ones(*sides)}, folder / "model.safetensors", {"format": "pt"})


def test_weights_that_the_model_does_not_use_are_an_error_and_named(folder):
    add_weight(folder, "bert.encoder.layer.0.attention.self.distance_embedding.weight", 255, 64)
    with pytest.raises(
        UnsupportedModel, match=r"does not use: .*layer\.0\.attention\.self\.distance_embedding\.weight"
    ):
        load(folder)


def test_a_head_of_pretraining_may_lie_beside_a_classifier(folder):
    add_weight(folder, "cls.predictions.bias", 13403)
    assert load(folder).labels


def test_a_tensor_of_another_shape_is_named_with_both(folder):
    weights = load_file(folder / "model.safetensors")
    weights["bert.pooler.dense.bias"] = weights["bert.pooler.dense.bias"][:100].clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsupportedModel, match=r"pooler\.dense\.bias \(in the file \[100\], in the model \[128\]\)"):
        load(folder)


def test_a_vocabulary_that_the_tokenizers_class_does_not_read_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").rename(folder / "vocab.json")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": "XTokenizer"}))
    with pytest.raises(UnsupportedModel):
        load(folder)


@pytest.mark.parametrize("settings", [{"return_dict": False}, {"hidden_act": 5}, {"model_type": "ber\0t"}])
def test_whatever_a_library_makes_of_a_config_is_the_models_fault(folder, settings):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    with pytest.raises(UnsupportedModel) as refusal:
        load(folder)
    assert "\0" not in refusal.value.detail


def test_weights_of_another_shape_are_an_error(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 500}))
    with pytest.raises(UnsupportedModel):
        load(folder)


def test_half_precision_weights_are_measured_in_float32(folder):
    weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).model.dtype == torch.float32


def test_a_tokenizer_that_cannot_be_read_is_refused(folder):
    (folder / "tokenizer.json").write_text("{}")
    (folder / "vocab.txt").unlink()
    with pytest.raises(UnsupportedModel, match="tokenizer cannot be opened"):
        load(folder)


def test_a_tokenizer_larger_than_the_embedding_is_refused(folder):
    tokenizer = load(folder).tokenizer
    tokenizer.add_tokens(["[EXTRA]"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(UnsupportedModel, match=r"does not embed: \[EXTRA\]"):
        load(folder)


def test_pickles_are_refused_before_anything_is_opened(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UnsafeModel):
        load(folder)


@pytest.mark.timeout(30)
def test_without_a_network_a_hub_model_is_unavailable_at_once(unreachable, cache):
    with pytest.raises(SourceUnavailable, match="hub:some/model could not be fetched") as refusal:
        load_model("hub:some/model", allow_paths=False)
    assert "connection" in refusal.value.hint


def test_offline_and_not_in_the_cache_is_unavailable(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceUnavailable):
        load_model("hub:some/model@v1", allow_paths=False)


def test_a_cached_hub_model_serves_without_a_network_and_says_its_commit(unreachable, cache):
    keep(cache, "model", "some/model", DEMO)
    loaded = load_model("hub:some/model", allow_paths=False)
    assert (loaded.facts.ref, loaded.facts.revision) == ("hub:some/model", COMMIT)
    assert loaded.facts.sha256 == load_model("demo:bert-tiny-wordnet", allow_paths=False).facts.sha256
