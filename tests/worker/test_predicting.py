"""A module is tried on texts beside its base: a light job of its own, which is forgotten after a day."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import pipeline

from app.services.sweeping import sweep
from app.sources import demo
from microlith.contract import Job, Module
from tests.app.job_rules import TICK
from tests.app.job_world import pass_time
from tests.work import DEMO, run
from tests.worker.conftest import Product

TEXTS = ["a small furry animal that lives in trees", "to run quickly", "hammer"]
SMALL = DEMO | {"concerns": ["animal"], "evaluation": {"limit": 40, "similarity": False, "latency": False}}
DAY = 24 * 3600


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


def tried(product: Product, module: Module, texts: list[str]) -> Job:
    answer = product.api.post(f"/v1/modules/{module.id}/predictions", json={"inputs": texts})
    assert answer.status_code == 202, answer.text
    run(product.backend, answer.json()["id"])
    return Job.model_validate(product.api.get(answer.headers["Location"]).json())


def pipeline_says(folder: Any, texts: list[str]) -> list[dict[str, float]]:
    answers = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")(texts)
    return [{row["label"]: row["score"] for row in rows} for rows in answers]


@pytest.mark.parametrize("head", ["multiclass", "binary"])
def test_a_try_answers_what_the_downloaded_module_answers(product: Product, head: str) -> None:
    _, (module,) = product.decompose(SMALL | {"head": head})
    job = tried(product, module, TEXTS)
    assert (job.state, job.kind) == ("succeeded", "predict"), job.error
    told = job.prediction
    assert told is not None
    assert [row.text for row in told.inputs] == TEXTS
    assert told.module_labels == (["rest", "animal"] if head == "binary" else told.labels)
    assert (told.threshold is None) == (head == "multiclass")
    for row, expected in zip(told.inputs, pipeline_says(product.unpack(module), TEXTS), strict=True):
        assert dict(zip(told.module_labels, row.module.probabilities, strict=True)) == pytest.approx(expected, abs=1e-5)
        assert row.module.label == max(expected, key=expected.__getitem__)
        assert np.isclose(sum(row.base.probabilities), 1)
    assert told.inputs[0].base.label == "animal"


def test_what_cannot_be_tried_is_refused_with_the_reason(product: Product) -> None:
    _, (module,) = product.decompose(SMALL)

    def refused(inputs: Any, module_id: str = module.id) -> tuple[int, str]:
        answer = product.api.post(f"/v1/modules/{module_id}/predictions", json={"inputs": inputs}).json()
        return answer["status"], (answer.get("errors") or [{"pointer": None}])[0]["pointer"]

    assert refused(["a"], "mod_unknown") == (404, None)
    assert refused([]) == (422, "/inputs")
    assert refused(["a"] * 33) == (422, "/inputs")
    assert refused([""]) == (422, "/inputs/0")
    assert refused(["fine", "x" * 10_001]) == (422, "/inputs/1")
    assert refused([[0.5]]) == (422, "/inputs/0")


def test_a_base_that_reads_otherwise_by_now_is_told_and_answers_nothing(product: Product, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(demo.FOLDER / "bert-tiny-wordnet", folder)
    _, (module,) = product.decompose(SMALL | {"model": f"path:{folder}"})
    file = folder / "tokenizer_config.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {"model_max_length": 3}))
    job = tried(product, module, TEXTS)
    assert job.error
    assert (job.state, job.error.code) == ("failed", "SOURCE_UNAVAILABLE")
    assert "tokenizer" in job.error.message
    file.write_text(before)
    assert tried(product, module, TEXTS).state == "succeeded"


def test_a_caller_who_waits_hears_that_nobody_has_answered_yet(product: Product) -> None:
    _, (module,) = product.decompose(SMALL)
    post = product.api.post
    answer = post(f"/v1/modules/{module.id}/predictions", json={"inputs": ["a"]}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")


def test_tries_are_no_results_they_are_listed_by_name_and_gone_after_a_day(product: Product) -> None:
    origin, (module,) = product.decompose(SMALL)
    job = tried(product, module, ["hammer"])

    def listed(query: str) -> list[str]:
        return [one["id"] for one in product.api.get(f"/v1/jobs{query}").json()["data"]]

    assert job.id in listed("?kind=predict")
    assert job.id not in listed("") + listed("?kind=decompose")
    assert job.expires_at
    assert job.finished_at
    assert (job.expires_at - job.finished_at).total_seconds() == DAY
    sweep(product.backend)
    assert job.id in listed("?kind=predict")
    pass_time(product.backend, ticks=DAY // TICK + 1)
    sweep(product.backend)
    assert not listed("?kind=predict")
    assert origin.id in listed("")
