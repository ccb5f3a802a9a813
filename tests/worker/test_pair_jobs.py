"""A classifier of pairs of texts, the whole way from CSV: its modules measure as plain transformers does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from microlith import apply_mask
from microlith.combined import load
from microlith.contract import Job, Module, Report
from tests.pair_model import LABELS, Row, pair_model, pair_rows, write_pairs
from tests.work import run
from tests.worker.conftest import Product

LAYOUTS = ["portable", "compact", "mask", "onnx"]
SPLITS = {"train": 240, "validation": 90, "test": 150}
ROWS = {role: pair_rows(count, seed=len(role)) for role, count in SPLITS.items()}
COLUMNS = {"text_column": "premise", "text_pair_column": "hypothesis"}
TESTED = ROWS["test"]


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A job on pairs; quick, but for what a test adds."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "data").mkdir()
    for role, rows in ROWS.items():
        write_pairs(folder / "data" / f"{role}.csv", rows)
    return {
        "model": f"path:{pair_model(folder / 'model')}",
        "dataset": {"ref": f"path:{folder / 'data'}", **COLUMNS},
        "concerns": ["second"],
        "structure": "neurons",
        "ratio": 0.3,
        "evaluation": {"similarity": False, "latency": False},
    }


@pytest.fixture(scope="module")
def made(product: Product, spec: dict[str, Any]) -> tuple[Job, Module]:
    """A module in every layout."""
    job, (module,) = product.decompose(spec | {"export": {"layouts": LAYOUTS}})
    return job, module


def read(folder: Path, rows: list[Row] = TESTED) -> dict[str, torch.Tensor]:
    """The rows as plain transformers reads them."""
    first, second, _ = zip(*rows, strict=True)
    tokens = AutoTokenizer.from_pretrained(folder)(
        list(first), list(second), truncation=True, padding=True, return_tensors="pt"
    )
    return dict(tokens)


def logits_of(model: Any, inputs: dict[str, torch.Tensor]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        answers: np.ndarray[Any, Any] = model.eval()(**inputs).logits.numpy()
    return answers


def check_measures(report: Report, logits: np.ndarray[Any, Any]) -> None:
    """The report is what scikit-learn makes of these answers to the test split."""
    truth = np.array([LABELS.index(label) for *_, label in TESTED])
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, logits.argmax(1), labels=[0, 1, 2], zero_division=0
    )
    told = [(row.precision, row.recall, row.f1, row.support) for row in report.classes]
    np.testing.assert_allclose(told, np.array([precision, recall, f1, support]).T, atol=1e-9)
    assert report.macro.f1 == pytest.approx(f1.mean(), abs=1e-9)
    assert report.accuracy == pytest.approx(accuracy_score(truth, logits.argmax(1)), abs=1e-9)
    probabilities = torch.from_numpy(logits).double().softmax(1).numpy()
    assert report.loss == pytest.approx(log_loss(truth, probabilities, labels=[0, 1, 2]), abs=1e-5)


def test_base_and_module_measure_as_plain_transformers_and_scikit_learn_do(
    product: Product, spec: dict[str, Any], made: tuple[Job, Module]
) -> None:
    job, module = made
    base, folder = Path(spec["model"].removeprefix("path:")), product.unpack(module)
    plain = AutoModelForSequenceClassification.from_pretrained(base)
    told = product.results(job).base
    assert told is not None
    check_measures(told.report, logits_of(plain, read(base)))
    assert told.report.accuracy > 0.8, "the classifier tells pairs apart, so reading one text alone would show"
    check_measures(module.report, logits_of(AutoModelForSequenceClassification.from_pretrained(folder), read(folder)))


def test_every_layout_opens_and_answers_pairs_alike(
    product: Product, spec: dict[str, Any], made: tuple[Job, Module]
) -> None:
    folders = {layout: product.unpack(made[1], layout) for layout in LAYOUTS}
    inputs, auto = read(folders["portable"]), AutoModelForSequenceClassification
    assert "token_type_ids" in inputs
    expected = logits_of(auto.from_pretrained(folders["portable"]), inputs)
    compact = auto.from_pretrained(folders["compact"], trust_remote_code=True)
    np.testing.assert_allclose(logits_of(compact, inputs), expected, atol=1e-5)
    masked = apply_mask(Path(spec["model"].removeprefix("path:")), folders["mask"])
    np.testing.assert_array_equal(logits_of(masked, inputs), expected)
    session = onnxruntime.InferenceSession(folders["onnx"] / "model.onnx")
    assert {given.name for given in session.get_inputs()} == inputs.keys()
    (found,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("layout", ["portable", "compact", "onnx"])
def test_the_lines_of_a_card_answer_a_pair(product: Product, made: tuple[Job, Module], layout: str) -> None:
    folder = product.unpack(made[1], layout)
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    said = "\n".join(blocks).replace("this-folder", str(folder))
    assert '["a text"], ["the text beside it"]' in said
    told: dict[str, Any] = {}
    exec(said, told)
    assert tuple(told["logits"].shape) == (1, 3)


def tried(product: Product, module: Module, inputs: list[Any]) -> Job:
    answer = product.api.post(f"/v1/modules/{module.id}/predictions", json={"inputs": inputs})
    assert answer.status_code == 202, answer.text
    run(product.backend, answer.json()["id"])
    return Job.model_validate(product.api.get(answer.headers["Location"]).json())


def test_a_pair_that_is_tried_is_answered_as_a_pipeline_answers_it(product: Product, made: tuple[Job, Module]) -> None:
    pairs = [{"text": first, "text_pair": second} for first, second, _ in TESTED[:5]]
    told = tried(product, made[1], pairs).prediction
    assert told is not None
    assert [{"text": one.text, "text_pair": one.text_pair} for one in told.inputs] == pairs
    answers = pipeline("text-classification", model=str(product.unpack(made[1])), top_k=None, device="cpu")(pairs)
    for one, expected in zip(told.inputs, answers, strict=True):
        scores = {row["label"]: row["score"] for row in expected}
        assert dict(zip(told.labels, one.module.probabilities, strict=True)) == pytest.approx(scores, abs=1e-5)


def test_a_text_alone_is_not_tried_on_a_module_of_pairs(product: Product, made: tuple[Job, Module]) -> None:
    pair = {"text": "a dog is old", "text_pair": "a saw is old"}
    answer = product.api.post(f"/v1/modules/{made[1].id}/predictions", json={"inputs": [pair, "a dog is old"]}).json()
    assert (answer["status"], answer["errors"][0]["pointer"]) == (422, "/inputs/1")
    assert "reads pairs of texts" in answer["detail"]


def test_boundary_samples_of_pairs_keep_which_text_a_token_is_of(product: Product, spec: dict[str, Any]) -> None:
    sampling = {"source": "boundary", "per_concern": 4, "boundary": {"top": 3, "bottom": 3}}
    job, _ = product.decompose(spec | {"sampling": sampling})
    kept = [file for file in product.backend.settings.data_dir.rglob("*.safetensors") if "boundar" in str(file)]
    assert job.state == "succeeded"
    with safe_open(kept[0], framework="numpy") as stored:
        assert set(stored.get_tensor("token_type_ids").tolist()) == {0, 1}


def test_pairs_that_are_cut_or_empty_are_told_in_plan_job_and_card(
    product: Product, spec: dict[str, Any], tmp_path: Path
) -> None:
    long, empty = (" ".join(["a dog is old"] * 9), "a saw is old", "first"), ("", "a saw is old", "neither")
    for role, rows in ROWS.items():
        write_pairs(tmp_path / f"{role}.csv", [long, *rows[:60], *([empty, long] if role == "test" else [])])
    asked = spec | {"dataset": spec["dataset"] | {"ref": f"path:{tmp_path}"}}
    blank = "1 pair has an empty text in the test split (rows 62): answered and measured all the same."
    plan = product.api.post("/v1/jobs?validate_only=true", json=asked).json()
    assert plan["warnings"] == [blank]
    job, (module,) = product.decompose(asked)
    assert job.resolved.dataset is not None
    told = job.resolved.dataset.warnings
    cut = "longer than the 24 tokens that the model reads"
    assert told[0] == blank
    assert told[1].startswith(f"2 pairs of the test split are {cut} (rows 1, 63)")
    assert told[2].startswith(f"1 pair of the validation split is {cut} (rows 1)")
    assert cut in (product.unpack(module) / "README.md").read_text(encoding="utf-8")


def test_a_trimmed_vocabulary_and_padded_inputs_serve_pairs_too(product: Product, spec: dict[str, Any]) -> None:
    trimmed = {"export": {"vocabulary": {"trim": True, "guard": 0.0}}}
    _, (module,) = product.decompose(spec | trimmed | {"calibration": {"pads": "include", "pairing": "position"}})
    assert module.vocabulary is not None
    folder = product.unpack(module)
    logits = logits_of(AutoModelForSequenceClassification.from_pretrained(folder), read(folder))
    truth = [LABELS.index(label) for *_, label in TESTED]
    assert module.vocabulary.accuracy == pytest.approx(accuracy_score(truth, logits.argmax(1)), abs=1e-9)


def test_modules_of_pairs_become_one_classifier_of_pairs(product: Product, spec: dict[str, Any]) -> None:
    _, modules = product.decompose(spec | {"concerns": "all"})
    for mode in ("class_set", "recompose"):
        job, combination = product.combine(modules, mode, spec["dataset"])
        assert combination.comparison.macro_f1.combined.value > 0.6
        folder = product.unpacked(job)
    combined = load(folder)
    pairs = [(first, second) for first, second, _ in TESTED[:20]]
    answers = combined.predict(pairs)
    lines = "\n".join("\t".join(pair) for pair in pairs)
    told = subprocess.run(
        [sys.executable, str(folder / "run.py")], input=lines, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["answer"] for line in told.stdout.splitlines()] == answers
    with pytest.raises(ValueError, match="pairs of texts"):
        combined.predict(["a dog is old"])


def test_modules_of_pairs_are_not_combined_on_single_texts(product: Product, spec: dict[str, Any]) -> None:
    _, modules = product.decompose(spec | {"concerns": "all"})
    dataset = {name: value for name, value in spec["dataset"].items() if name != "text_pair_column"}
    body = {"mode": "recompose", "modules": [module.id for module in modules], "dataset": dataset}
    refused = product.api.post("/v1/modules:combine", json=body).json()
    assert (refused["status"], refused["errors"][0]["pointer"]) == (422, "/dataset")
    assert "The modules read pairs of texts" in refused["detail"]
