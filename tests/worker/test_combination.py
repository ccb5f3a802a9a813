"""Modules become one classifier: asked for over HTTP, made by a job, delivered as a file that a stranger runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification

from microlith.contract import Job, Module
from tests.work import DEMO, run
from tests.worker.alike import LAYOUTS, opened_alike
from tests.worker.conftest import Product

DATA = DEMO["dataset"]
CONCERNS = ["animal", "food", "plant"]
SMALL = DEMO | {
    "concerns": CONCERNS,
    "evaluation": {"limit": 40, "similarity": False, "latency": False},
}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture
def modules(product: Product) -> list[Module]:
    return product.decompose(SMALL)[1]


def test_a_class_set_is_an_ordinary_model_of_the_chosen_classes(product: Product, modules: list[Module]) -> None:
    job, told = product.combine(modules, "class_set", DATA)
    assert (told.labels, job.kind, job.concerns.succeeded) == (CONCERNS, "combine", 3)
    assert told.comparison.reference == DEMO["model"]
    assert told.comparison.macro_f1.combined.value > 0.8
    assert told.comparison.rows == 200
    folder = product.unpacked(job)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert list(model.config.id2label.values()) == CONCERNS
    assert "from_pretrained" in (folder / "README.md").read_text()


def test_modules_with_binary_heads_make_the_class_set_that_those_with_every_class_do(
    product: Product, modules: list[Module]
) -> None:
    _, binary = product.decompose(SMALL | {"head": "binary"})
    assert all(module.binary for module in binary)
    (job, told), (other_job, other) = (product.combine(chosen, "class_set", DATA) for chosen in (binary, modules))
    assert "A binary head decides its one concern alone" in told.notes[0]
    assert (other.notes, told.comparison.accuracy) == ([], other.comparison.accuracy)
    one, another = (load_file(product.unpacked(made) / "model.safetensors") for made in (job, other_job))
    assert one.keys() == another.keys()
    assert all((one[name] == another[name]).all() for name in one)


def test_a_recomposed_classifier_runs_with_nothing_of_ours(product: Product, modules: list[Module]) -> None:
    job, told = product.combine(modules, "recompose", DATA)
    assert told.comparison.macro_f1.difference.low <= told.comparison.macro_f1.difference.high
    assert {concern.module for concern in told.comparison.concerns} == {module.id for module in modules}
    folder = product.unpacked(job)
    text = "small furry mammal with long ears that lives in a burrow\n"
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "run.py")], input=text, capture_output=True, text=True, check=True, env={}
    )
    scores = json.loads(done.stdout)["scores"]
    assert max(scores, key=scores.get) == "animal"


def test_modules_that_do_not_go_together_are_refused_at_once(product: Product, modules: list[Module]) -> None:
    def refused(chosen: list[str], **more: Any) -> dict[str, Any]:
        body = {"mode": "recompose", "modules": chosen, "dataset": DEMO["dataset"]} | more
        answer = product.api.post("/v1/modules:combine", json=body)
        assert answer.status_code == 422
        problem: dict[str, Any] = answer.json()
        return problem

    first = modules[0].id
    unknown = refused([first, f"mod_{'0' * 26}"])
    assert unknown["errors"][0]["pointer"] == "/modules/1"
    assert refused([first])["code"] == refused([first, first])["code"] == "VALIDATION_ERROR"
    (again,) = product.decompose(SMALL | {"concerns": ["animal"]})[1]
    assert "'animal'" in refused([first, again.id])["detail"]


def test_a_module_that_goes_before_it_is_combined_fails_the_job_with_what_to_do(product: Product) -> None:
    _, modules = product.decompose(SMALL | {"concerns": CONCERNS[:2], "reuse": False})
    body = {"mode": "class_set", "modules": [m.id for m in modules], "dataset": DEMO["dataset"]}
    queued = product.api.post("/v1/modules:combine", json=body).json()
    product.api.delete(f"/v1/jobs/{modules[0].job_id}")
    run(product.backend, queued["id"])
    job = Job.model_validate(product.api.get(queued["urls"]["self"]).json())
    assert (job.state, job.error and job.error.code) == ("failed", "NOT_FOUND")


def test_a_combinations_file_goes_with_its_job(product: Product, modules: list[Module]) -> None:
    job, _ = product.combine(modules[:2], "class_set", DATA)
    kept = set(product.backend.objects.list("artifacts"))
    assert product.api.delete(job.urls.self).status_code == 204
    assert len(kept - set(product.backend.objects.list("artifacts"))) == 1


def test_a_class_set_has_every_layout_that_is_asked_for(product: Product, modules: list[Module]) -> None:
    job, told = product.combine(modules, "class_set", DATA, export={"layouts": LAYOUTS})
    assert [artifact.layout for artifact in job.artifacts] == LAYOUTS
    assert told.size is not None
    assert told.size.nonzero < told.size.parameters == told.size.base_parameters - 9 * 129, "of 12 labels 3 are left"
    assert [(pace.layout, pace.batch) for pace in told.latencies] == [
        (layout, batch) for layout in ("portable", "compact", "onnx") for batch in (1, 32)
    ]
    folders = {layout: product.unpacked(job, layout) for layout in LAYOUTS}
    opened = opened_alike(folders)
    assert {model.config.id2label[2] for model in opened.values()} == {"plant"}
    for folder in folders.values():
        assert json.loads((folder / "combination.json").read_text())["labels"] == CONCERNS


def test_a_class_set_has_one_more_layout_when_it_is_asked_for(product: Product, modules: list[Module]) -> None:
    job, _ = product.combine(modules, "class_set", DATA, export={"layouts": ["portable"]})

    def ordered(of: str, layout: str) -> Any:
        return product.api.post(f"/v1/modules/{of}/artifacts", json={"layout": layout})

    order = Job.model_validate(ordered(job.id, "compact").json())
    assert ordered(job.id, "compact").json()["id"] == order.id, "it is under way"
    run(product.backend, order.id)
    done, later = (Job.model_validate(product.api.get(one.urls.self).json()) for one in (order, job))
    assert (done.kind, done.state) == ("export", "succeeded"), done.error
    assert [artifact.layout for artifact in later.artifacts] == ["portable", "compact"]
    assert ordered(job.id, "compact").json()["id"] == ordered(job.id, "portable").json()["id"] == job.id
    combination = product.results(job).combination
    assert combination is not None
    assert {pace.layout for pace in combination.latencies} == {"portable", "compact"}
    one, other = (
        load_file(product.unpacked(later, layout) / "model.safetensors") for layout in ("portable", "compact")
    )
    assert all((one[name] == other[name]).all() for name in one), "single weights are zeros in both"
    problem = ordered(modules[0].job_id, "compact").json()
    assert (problem["status"], problem["code"]) == (409, "CONFLICT")
    assert ordered(f"job_{'0' * 26}", "compact").status_code == 404


def test_recovery_of_the_modules_is_done_anew_for_their_union_and_helps(product: Product) -> None:
    spec = SMALL | {"structure": "neurons", "ratio": 0.9, "recovery": "refit"}
    _, mended_modules = product.decompose(spec)
    found = {}
    for recovery in ("none", None):
        _, told = product.combine(mended_modules, "class_set", DATA, recovery=recovery, evaluation={"limit": 600})
        found[told.recovery] = told.comparison.macro_f1.difference.value
    assert found["refit"] >= found["none"]


def test_options_that_a_mode_has_no_use_for_are_refused_with_where(product: Product, modules: list[Module]) -> None:
    def pointer(mode: str, **more: Any) -> str:
        body = {"mode": mode, "modules": [m.id for m in modules], "dataset": DEMO["dataset"]} | more
        answer = product.api.post("/v1/modules:combine", json=body)
        assert answer.status_code == 422
        return str(answer.json()["errors"][0]["pointer"])

    assert pointer("recompose", export={"layouts": ["mask"]}) == "/export"
    assert pointer("recompose", recovery="bias") == "/recovery"
    assert pointer("class_set", export={"onnx": {"int8": True}}) == "/export/onnx/int8"
    assert pointer("class_set", export={"layouts": ["gguf"]}) == "/export/layouts/0"
    _, (heads,) = product.decompose(SMALL | {"concerns": ["act"], "structure": "neurons"})
    assert pointer("class_set", modules=[modules[0].id, heads.id]) == "/modules"
