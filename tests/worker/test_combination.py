"""Modules become one classifier: asked for over HTTP, made by a job, delivered as a file that a stranger runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

from microlith.contract import Combination, Job, Module
from tests.work import DEMO
from tests.worker.conftest import Product
from worker.run import run

CONCERNS = ["animal", "food", "plant"]
SMALL = DEMO | {
    "concerns": CONCERNS,
    "evaluation": {"limit": 40, "similarity": False, "latency": False},
}


def order(product: Product, modules: list[Module], mode: str, **more: Any) -> tuple[Job, Combination]:
    """The finished job and what came of it."""
    wanted = {
        "mode": mode,
        "modules": [m.id for m in modules],
        "dataset": DEMO["dataset"],
        "evaluation": {"limit": 200},
    }
    answer = product.api.post("/v1/modules:combine", json=wanted | more)
    assert answer.status_code == 202, answer.text
    run(product.backend, answer.json()["id"])
    job = Job.model_validate(product.api.get(answer.headers["Location"]).json())
    assert job.state == "succeeded", job.error
    combination = product.results(job).combination
    assert combination is not None
    return job, combination


def unpacked(product: Product, job: Job) -> Path:
    from io import BytesIO
    from zipfile import ZipFile

    target = product.folder / job.id
    with ZipFile(BytesIO(product.api.get(job.artifacts[0].urls.content).content)) as archive:
        archive.extractall(target)
    return target


@pytest.fixture
def modules(product: Product) -> list[Module]:
    return product.decompose(SMALL)[1]


def test_a_class_set_is_an_ordinary_model_of_the_chosen_classes(product: Product, modules: list[Module]) -> None:
    job, told = order(product, modules, "class_set")
    assert (told.labels, job.kind, job.concerns.succeeded) == (CONCERNS, "combine", 3)
    assert told.comparison.reference == DEMO["model"]
    assert told.comparison.macro_f1.combined.value > 0.8
    assert told.comparison.rows == 200
    folder = unpacked(product, job)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert list(model.config.id2label.values()) == CONCERNS
    assert "from_pretrained" in (folder / "README.md").read_text()


def test_a_recomposed_classifier_runs_with_nothing_of_ours(product: Product, modules: list[Module]) -> None:
    job, told = order(product, modules, "recompose")
    assert told.comparison.macro_f1.difference.low <= told.comparison.macro_f1.difference.high
    assert {concern.module for concern in told.comparison.concerns} == {module.id for module in modules}
    folder = unpacked(product, job)
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


def test_a_module_that_goes_before_it_is_combined_fails_the_job_with_what_to_do(
    product: Product, modules: list[Module]
) -> None:
    body = {"mode": "class_set", "modules": [m.id for m in modules[:2]], "dataset": DEMO["dataset"]}
    queued = product.api.post("/v1/modules:combine", json=body).json()
    product.api.delete(f"/v1/jobs/{modules[0].job_id}")
    run(product.backend, queued["id"])
    job = Job.model_validate(product.api.get(queued["urls"]["self"]).json())
    assert (job.state, job.error and job.error.code) == ("failed", "NOT_FOUND")


def test_a_combinations_file_goes_with_its_job(product: Product, modules: list[Module]) -> None:
    job, _ = order(product, modules[:2], "class_set")
    kept = set(product.backend.objects.list("artifacts"))
    assert product.api.delete(job.urls.self).status_code == 204
    assert len(kept - set(product.backend.objects.list("artifacts"))) == 1
