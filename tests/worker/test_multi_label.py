"""A multi-label task, from CSV to modules that open and measure as plain transformers and scikit-learn say."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from microlith.contract import Baselines, Job, Module, Report
from microlith.display import data_frame
from tests.builders import MAX_LENGTH, VOCABULARY, tiny_bert
from tests.work import run
from tests.worker.conftest import Product
from tests.worker.test_other_models import write_tokenizer

NAMES = ["joy", "anger", "fear", "love"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *(f"w{i}" for i in range(VOCABULARY - len(SPECIAL)))]
ROWS = {"train": 160, "validation": 90, "test": 110}

Table = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in `model`, and its data twice: lists in `lists`, a column for each label in `columns`."""
    place = tmp_path_factory.mktemp("multi-label")
    model: Any = tiny_bert(classes=len(NAMES))
    model.config.problem_type = "multi_label_classification"
    model.config.id2label = dict(enumerate(NAMES))
    model.config.label2id = {name: number for number, name in enumerate(NAMES)}
    model.save_pretrained(place / "model")
    write_tokenizer(place / "model", WORDS)
    rng = np.random.default_rng(0)
    for split, rows in ROWS.items():
        texts = [" ".join(rng.choice(WORDS[len(SPECIAL) :], size=rng.integers(2, MAX_LENGTH - 1))) for _ in range(rows)]
        logits = logits_of(place / "model", texts)
        has = logits + rng.normal(scale=0.6, size=logits.shape) > [0.3, 0.0, 0.6, -0.2]
        write(place, split, texts, has)
    return place


def write(place: Path, split: str, texts: Sequence[str], has: Table) -> None:
    for folder in ("lists", "columns"):
        (place / folder).mkdir(exist_ok=True)
    with (place / "lists" / f"{split}.csv").open("w", newline="") as file:
        named = [[NAMES[i] for i in np.flatnonzero(row)] for row in has]
        csv.writer(file).writerows([("text", "labels"), *zip(texts, map(json.dumps, named), strict=True)])
    with (place / "columns" / f"{split}.csv").open("w", newline="") as file:
        rows = ([text, *map(int, row)] for text, row in zip(texts, has, strict=True))
        csv.writer(file).writerows([("text", *NAMES), *rows])


def read(place: Path, split: str) -> tuple[list[str], Table]:
    """Texts and labels as anybody reads them."""
    with (place / "columns" / f"{split}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([[row[name] == "1" for name in NAMES] for row in rows])


def logits_of(folder: Path, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """What plain transformers answers, one text at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        read = [tokenizer(text, return_tensors="pt") for text in texts]
        given = [{name: one[name] for name in ("input_ids", "attention_mask")} for one in read]
        return np.concatenate([model(**one).logits.numpy() for one in given])


def spec(place: Path, **more: Any) -> dict[str, Any]:
    asked = {"model": f"path:{place / 'model'}", "dataset": f"path:{place / 'lists'}", "concerns": ["joy", "love"]}
    evaluation = {"similarity": False, "latency": False}
    return asked | {"sampling": {"per_concern": 8}, "evaluation": evaluation} | more


def check_report(report: Report, folder: Path, place: Path) -> None:
    """Everything a report says is what scikit-learn says of plain transformers' answers at its thresholds."""
    texts, has = read(place, "test")
    logits = logits_of(folder, texts)
    said = logits >= np.array([row.threshold for row in report.classes])
    rows = np.array([(row.precision, row.recall, row.f1, row.support) for row in report.classes])
    np.testing.assert_allclose(rows.T, precision_recall_fscore_support(has, said, zero_division=0))
    assert report.micro is not None
    for average, f1 in (("macro", report.macro.f1), ("micro", report.micro.f1)):
        assert f1 == pytest.approx(f1_score(has, said, average=average, zero_division=0))
    assert report.accuracy == pytest.approx(accuracy_score(has, said))
    losses = torch.nn.BCEWithLogitsLoss()
    assert report.loss == pytest.approx(losses(torch.from_numpy(logits), torch.from_numpy(has).float()).item(), 1e-5)
    assert report.examples == len(texts)
    assert report.confusion is None


def check_baselines(baselines: Baselines | None, place: Path) -> None:
    """Always the most frequent label, and words that know something."""
    assert baselines is not None
    assert baselines.majority is not None
    has = read(place, "test")[1]
    always = np.tile(np.arange(len(NAMES)) == read(place, "train")[1].sum(axis=0).argmax(), (len(has), 1))
    assert baselines.majority.macro_f1 == pytest.approx(f1_score(has, always, average="macro", zero_division=0))
    assert baselines.bag_of_words is not None
    assert set(baselines.bag_of_words.own_f1) == set(NAMES)


def test_a_module_opens_and_measures_as_plain_transformers_and_scikit_learn(product: Product, task: Path) -> None:
    job, modules = product.decompose(spec(task))
    results = product.results(job)
    assert results.base is not None
    check_report(results.base.report, task / "model", task)
    assert results.base.report.macro.f1 > 0.6
    check_baselines(results.baselines, task)
    for module in modules:
        assert module.macro_change is not None
        change = module.report.macro.f1 - results.base.report.macro.f1
        assert module.macro_change.value == pytest.approx(change)
        assert module.macro_change.low <= change <= module.macro_change.high
        folder = product.unpack(module)
        check_report(module.report, folder, task)
        assert module.own.f1 == module.report.classes[module.concern.id].f1
        history = json.loads((folder / "decomposition.json").read_text())
        assert history["thresholds"] == {row.label: row.threshold for row in module.report.classes}


def test_thresholds_are_chosen_on_the_validation_split(product: Product, task: Path) -> None:
    _, (module, _) = product.decompose(spec(task))
    texts, has = read(task, "validation")
    logits = logits_of(product.unpack(module), texts)
    for place, row in enumerate(module.report.classes):
        scores, members = logits[:, place], has[:, place]
        best = max(f1_score(members, scores >= threshold) for threshold in scores)
        assert f1_score(members, scores >= row.threshold) == pytest.approx(best)


def test_a_column_for_each_label_comes_to_the_same(product: Product, task: Path) -> None:
    _, lists = product.decompose(spec(task))
    dataset = {"ref": f"path:{task / 'columns'}", "label_columns": NAMES}
    _, columns = product.decompose(spec(task, dataset=dataset))
    assert [module.report for module in columns] == [module.report for module in lists]


def test_a_carved_split_has_its_fraction_of_every_label(product: Product, task: Path) -> None:
    dataset = {"ref": f"path:{task / 'lists' / 'train.csv'}", "carve": {"test": 0.25, "validation": 0.25}}
    _, (module, _) = product.decompose(spec(task, dataset=dataset))
    has = read(task, "train")[1]
    assert module.report.examples == ROWS["train"] // 4
    for row, whole in zip(module.report.classes, has.sum(axis=0), strict=True):
        assert row.support == pytest.approx(whole / 4, abs=4)


def test_samples_of_a_label_have_it_and_those_of_the_rest_do_not(product: Product, task: Path) -> None:
    _, modules = product.decompose(spec(task))
    _, has = read(task, "train")
    for module in modules:
        drawn = json.loads((product.unpack(module) / "decomposition.json").read_text())["samples"]
        assert len(drawn["positive"]) == len(drawn["negative"]) == 8
        assert has[drawn["positive"], module.concern.id].all()
        assert not has[drawn["negative"], module.concern.id].any()


@pytest.mark.parametrize("how", [{"method": {"name": "taylor"}}, {"structure": "heads+neurons"}], ids=str)
def test_gradients_are_those_of_the_loss_of_several_labels(product: Product, task: Path, how: dict[str, Any]) -> None:
    _, modules = product.decompose(spec(task, **how))
    for module in modules:
        check_report(module.report, product.unpack(module), task)


def test_similarity_compares_the_labels_that_are_given(product: Product, task: Path) -> None:
    _, (module, _) = product.decompose(spec(task, ratio=0.01, evaluation={"latency": False}))
    assert module.similarity is not None
    for side in (module.similarity.concern, module.similarity.rest):
        assert side.kl is not None
        assert 0 <= side.kl < 0.05
        assert side.agreement is not None
        assert side.agreement > 0.7


def test_a_binary_head_answers_its_label_at_the_labels_own_threshold(product: Product, task: Path) -> None:
    _, modules = product.decompose(spec(task, head="binary", export={"layouts": ["portable", "mask"]}))
    texts, has = read(task, "test")
    for module in modules:
        row = module.report.classes[module.concern.id]
        assert module.binary is not None
        assert (module.binary.threshold, module.binary.f1) == (row.threshold, pytest.approx(row.f1))
        folder = product.unpack(module)
        said = [answer["label"] for answer in pipeline("text-classification", str(folder), device="cpu")(texts)]
        truth = has[:, module.concern.id]
        assert f1_score(truth, [label == module.concern.label for label in said]) == pytest.approx(module.binary.f1)
        assert json.loads((folder / "config.json").read_text())["problem_type"] == "single_label_classification"


@pytest.mark.parametrize("layout", ["compact", "onnx"])
def test_every_layout_says_how_logits_become_labels(product: Product, task: Path, layout: str) -> None:
    export = {"layouts": [layout], "onnx": {"int8": layout == "onnx"}}
    _, (module, _) = product.decompose(spec(task, structure="neurons", export=export))
    folder = product.unpack(module, layout)
    card = (folder / "README.md").read_text()
    assert "those that reach their thresholds" in card
    assert "Mean binary cross-entropy" in card
    assert "| label" not in card
    assert json.loads((folder / "decomposition.json").read_text())["thresholds"].keys() == set(NAMES)


def tried(product: Product, module: Module, texts: list[str]) -> Job:
    answer = product.api.post(f"/v1/modules/{module.id}/predictions", json={"inputs": texts})
    run(product.backend, answer.json()["id"])
    return Job.model_validate(product.api.get(answer.headers["Location"]).json())


def test_a_try_answers_with_the_labels_and_the_probability_of_each(product: Product, task: Path) -> None:
    job, (module, _) = product.decompose(spec(task))
    base = product.results(job).base
    texts = read(task, "test")[0][:12]
    told = tried(product, module, texts).prediction
    assert told is not None
    assert base is not None
    for who, folder, report in (
        ("base", task / "model", base.report),
        ("module", product.unpack(module), module.report),
    ):
        logits = logits_of(folder, texts)
        for row, answered in zip(logits, (getattr(one, who) for one in told.inputs), strict=True):
            given = [r.label for r, logit in zip(report.classes, row, strict=True) if logit >= r.threshold]
            assert answered.labels == given
            assert answered.probabilities == pytest.approx(1 / (1 + np.exp(-row.astype(np.float64))), abs=1e-5)
            assert answered.label == NAMES[int(row.argmax())]


def test_pages_tables_and_data_frames_show_what_there_is(product: Product, task: Path) -> None:
    job, (module, _) = product.decompose(spec(task))
    micro = module.report.micro
    assert micro is not None
    page = product.api.get(f"/jobs/{job.id}").text
    assert "micro-F1" in page
    assert f"the same {ROWS['test']} examples" in page
    page = product.api.get(f"/modules/{module.id}").text
    for shown in ("Micro-F1", "Every label right", "Binary cross-entropy", "Threshold"):
        assert shown in page
    sheet = product.api.get(f"/modules/{module.id}/charts/classes.csv").text
    assert sheet.splitlines()[0] == "class,f1,base_f1,examples,threshold"
    (row, _) = data_frame.rows(product.results(job))
    assert (row["micro_f1"], row["threshold"]) == (micro.f1, module.report.classes[0].threshold)


def test_a_combination_of_modules_of_several_labels_is_refused_when_it_is_submitted(
    product: Product, task: Path
) -> None:
    _, modules = product.decompose(spec(task))
    for mode in ("class_set", "recompose"):
        body = {"mode": mode, "modules": [module.id for module in modules], "dataset": f"path:{task / 'lists'}"}
        answer = product.api.post("/v1/modules:combine", json=body).json()
        assert (answer["status"], answer["errors"][0]["pointer"]) == (422, "/modules")
        assert "multi-label" in answer["detail"]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"sampling": {"source": "boundary"}}, "/sampling/source"),
        ({"sampling": {"negatives": "confusers"}}, "/sampling/negatives"),
        ({"recovery": "distil"}, "/recovery"),
        ({"dataset": {"label_columns": NAMES[:3]}}, "/dataset/label_columns"),
        ({"sampling": {"per_concern": 150}}, "/sampling/per_concern"),
    ],
)
def test_what_needs_one_class_of_each_input_is_refused_in_the_plan(
    product: Product, task: Path, more: dict[str, Any], pointer: str
) -> None:
    if "dataset" in more:
        more = {"dataset": more["dataset"] | {"ref": f"path:{task / 'columns'}"}}
    answer = product.api.post("/v1/jobs?validate_only=true", json=spec(task, **more)).json()
    assert (answer["status"], answer["errors"][0]["pointer"]) == (422, pointer)
    assert answer["hint"]


def test_a_plan_tells_the_rows_and_that_labels_do_not_exclude_one_another(product: Product, task: Path) -> None:
    plan = product.api.post("/v1/jobs?validate_only=true", json=spec(task)).json()
    assert plan["resolved"]["dataset"]["rows"] == ROWS
    assert plan["resolved"]["model"]["multi_label"] is True
