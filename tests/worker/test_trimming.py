"""Modules with a trimmed vocabulary, through a whole job: smaller, opening by plain from_pretrained, and measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from app.domain.errors import UnsupportedModel, VerificationFailed
from microlith.contract import Job, JobSpec, Module
from tests.builders import tiny_model
from tests.work import DEMO, run
from tests.worker.conftest import Product
from worker.evaluation.runner import predict
from worker.kinds.measure import validation_of
from worker.kinds.pack_modules import verify
from worker.kinds.trim_vocabulary import JobVocabulary
from worker.packaging.archive import archive
from worker.packaging.folder import write_sums
from worker.packaging.layouts import Package
from worker.sources.open_sources import Sources, open_sources

TRIMMED: dict[str, Any] = DEMO | {
    "concerns": ["animal"],
    "structure": "neurons",
    "sampling": {"split": "validation"},
    "evaluation": {"limit": 60, "similarity": False, "latency": False},
    "export": {"layouts": ["portable", "compact"], "vocabulary": {"trim": True, "guard": 1e-4}},
}
EMBEDDING = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture
def made(product: Product) -> tuple[Job, Module]:
    job, (module,) = product.decompose(TRIMMED)
    return job, module


@pytest.fixture(scope="module")
def sources() -> Sources:
    return open_sources(JobSpec.model_validate(TRIMMED), allow_paths=False, device=torch.device("cpu"))


def vocabulary_of(sources: Sources, folder: Path, **export: Any) -> JobVocabulary:
    wanted = {"vocabulary": {"trim": True, "guard": 1e-4}} | export
    spec = JobSpec.model_validate(TRIMMED | {"export": wanted})
    return JobVocabulary.of(spec, sources, validation_of(spec, sources), folder)


def test_the_module_is_smaller_opens_plainly_and_says_what_it_cost(product: Product, made: tuple[Job, Module]) -> None:
    _, module = made
    left = module.vocabulary
    assert left is not None
    assert left.tokens < left.base_tokens == 13403
    assert left.unknown is not None
    assert left.unknown > 0 == left.base_unknown
    for layout in ("portable", "compact"):
        folder = product.unpack(module, layout)
        weights = load_file(folder / "model.safetensors")
        assert weights[EMBEDDING].shape == (left.tokens, 128)
        assert module.size.parameters >= sum(tensor.size for tensor in weights.values())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert len(tokenizer) == left.tokens
        ids = tokenizer(["a kind of tree", "zzyzx quokkas"])["input_ids"]
        assert max(max(row) for row in ids) < left.tokens
        card = (folder / "README.md").read_text()
        assert f"{left.tokens:,} of 13,403 tokens are left" in card
        assert f"| F1 of animal | {left.own.f1:.4f} | {module.own.f1:.4f} |" in card
        assert json.loads((folder / "decomposition.json").read_text())["vocabulary"]["sha256"] == left.sha256
    model = AutoModelForSequenceClassification.from_pretrained(product.unpack(module))
    assert model.config.vocab_size == left.tokens


def test_what_is_told_is_what_a_stranger_measures(product: Product, made: tuple[Job, Module], sources: Sources) -> None:
    """The report's split, read by the module's own tokenizer and answered by its own weights."""
    _, module = made
    folder = product.unpack(module)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    texts, labels = sources.data.split("test")
    rows = np.arange(60) * len(texts) // 60
    right = 0
    with torch.inference_mode():
        for row in rows:
            read = tokenizer(texts[row], truncation=True, max_length=128, return_tensors="pt")
            right += int(model(**read).logits.argmax()) == labels[row]
    assert module.vocabulary is not None
    assert module.vocabulary.accuracy == pytest.approx(right / 60)


def test_a_layout_ordered_later_has_the_same_vocabulary_and_a_mask_none(product: Product) -> None:
    _, (module,) = product.decompose(TRIMMED | {"export": TRIMMED["export"] | {"layouts": ["portable"]}})
    url = f"/v1/modules/{module.id}/artifacts"
    refused = product.api.post(url, json={"layout": "mask"}).json()
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/export/vocabulary/trim")
    job = product.api.post(url, json={"layout": "compact"}).json()
    run(product.backend, job["id"])
    assert product.api.get(job["urls"]["self"]).json()["state"] == "succeeded"
    later = Module.model_validate(product.api.get(f"/v1/modules/{module.id}").json())
    names = ("tokenizer.json", "tokenizer_config.json")
    one, other = product.unpack(module), product.unpack(later, "compact")
    assert [(one / name).read_bytes() for name in names] == [(other / name).read_bytes() for name in names]


def test_a_try_reads_with_what_is_left_as_the_downloaded_module_does(
    product: Product, made: tuple[Job, Module]
) -> None:
    _, module = made
    texts = ["zzyzx quokkas", "a small furry animal"]
    answer = product.api.post(f"/v1/modules/{module.id}/predictions", json={"inputs": texts})
    run(product.backend, answer.json()["id"])
    told = Job.model_validate(product.api.get(answer.headers["Location"]).json()).prediction
    assert told is not None
    stranger = pipeline("text-classification", model=str(product.unpack(module)), top_k=None, device="cpu")(texts)
    for row, found in zip(told.inputs, stranger, strict=True):
        expected = {one["label"]: one["score"] for one in found}
        assert dict(zip(told.module_labels, row.module.probabilities, strict=True)) == pytest.approx(expected, abs=1e-5)


def test_trimmed_modules_with_binary_heads_are_recomposed_by_their_own_tokens_and_two_logits(product: Product) -> None:
    """A class set, which has other logits, reads with all of the base's vocabulary too."""
    spec = TRIMMED | {
        "concerns": ["animal", "food"],
        "head": "binary",
        "export": TRIMMED["export"] | {"layouts": ["portable"]},
    }
    _, modules = product.decompose(spec)
    assert all(module.binary and module.vocabulary for module in modules)
    job, told = product.combine(modules, "recompose", DEMO["dataset"], evaluation={"limit": 60})
    left = modules[0].vocabulary
    assert left is not None
    (reader,) = (product.unpacked(job) / "tokenizers").iterdir()
    assert len(json.loads(reader.read_text())["model"]["vocab"]) == left.tokens
    assert told.comparison.macro_f1.combined.value > 0.9
    _, whole = product.combine(modules, "class_set", DEMO["dataset"], evaluation={"limit": 60, "latency": False})
    assert any("reads with all of the base's" in note for note in whole.notes)


def test_without_a_guard_texts_that_were_counted_are_answered_bit_for_bit(sources: Sources, tmp_path: Path) -> None:
    vocabulary = vocabulary_of(sources, tmp_path, vocabulary={"trim": True})
    model = sources.model.model
    rows = range(40)
    whole = predict(model, sources.encode("validation", rows).take(rows))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = vocabulary.hand_out(model)
    reading = replace(sources, model=vocabulary.vocabulary.loaded)
    assert np.array_equal(predict(small, reading.encode("validation", rows).take(rows)), whole)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.config.vocab_size == 13403


def test_an_archive_whose_tokenizer_reads_otherwise_is_refused(
    sources: Sources, tmp_path: Path, warm_verifier: Any
) -> None:
    vocabulary = vocabulary_of(sources, tmp_path)
    folder = tmp_path / "module"
    vocabulary.vocabulary.loaded.model.save_pretrained(folder)
    for file in vocabulary.vocabulary.loaded.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for name, reads in (("sound", True), ("swapped", False)):
        if not reads:
            document = json.loads((folder / "tokenizer.json").read_text())
            ids = document["model"]["vocab"]
            ids["a"], ids["of"] = ids["of"], ids["a"]
            (folder / "tokenizer.json").write_text(json.dumps(document))
        (folder / "SHA256SUMS").unlink(missing_ok=True)
        write_sums(folder)
        packages = [Package(archive(folder, tmp_path / f"{name}.zip"), [])]
        module = vocabulary.hand_out(sources.model.model)
        if reads:
            verify(warm_verifier, packages, module, vocabulary.probe, vocabulary.opening)
        else:
            with pytest.raises(VerificationFailed, match="reads text"):
                verify(warm_verifier, packages, module, vocabulary.probe, vocabulary.opening)


def test_a_mask_and_an_image_model_are_refused_before_anything_is_queued(product: Product) -> None:
    answer = product.api.post("/v1/jobs", json=TRIMMED | {"export": TRIMMED["export"] | {"layouts": ["mask"]}})
    assert answer.json()["errors"][0]["pointer"] == "/export/vocabulary/trim"


def test_a_model_whose_pads_would_move_is_refused_with_the_reason(sources: Sources, tmp_path: Path) -> None:
    model = tiny_model("bert")
    model.config.pad_token_id = 7
    with pytest.raises(UnsupportedModel, match="id of this model's pads"):
        vocabulary_of(replace(sources, model=replace(sources.model, model=model)), tmp_path)
