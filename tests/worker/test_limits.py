"""Bad and large input, all the way through the service: handled, or refused with the reason, in bounded memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from app.sources import demo
from tests.work import DEMO
from tests.worker.conftest import Product

CLASSES = 2_000
QUICK = {"evaluation": {"similarity": False, "latency": False}}

WORKER = """
import os, sys
from pathlib import Path
from app.services.backend import Backend
from app.settings import Settings
from worker.compute.device import prepare
from tests.work import run
settings = Settings()
prepare(settings)
backend = Backend.open(settings)
for job_id in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured from here
    run(backend, job_id)
    lines = Path("/proc/self/status").read_text().splitlines()
    print("peak", next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")))
"""


def data(folder: Path, rows: list[tuple[str, str]]) -> str:
    """A reference to rows of text and label, for every split."""
    file = folder / "data.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), encoding="utf-8"
    )
    return f"path:{file}"


def many_classes(folder: Path) -> dict[str, Any]:
    """A seeded classifier of 2,000 classes that reads like the demo's, with two examples of each."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    model = folder / "model"
    shutil.copytree(demo.FOLDER / "bert-tiny-wordnet", model)
    labels = {number: f"class {number}" for number in range(CLASSES)}
    known = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config = BertConfig(
        vocab_size=known["vocab_size"],
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(model)
    rows = [(f"{place} of the things called {label}", label) for label in labels.values() for place in ("one", "two")]
    spec = {"concerns": ["class 0", "class 999", "class 1999"], "sampling": {"per_concern": 2}, **QUICK}
    return {"model": f"path:{model}", "dataset": data(folder, rows), **spec}


def test_a_text_of_a_hundred_thousand_tokens_and_an_empty_one_are_read_as_far_as_the_model_reads(
    product: Product, tmp_path: Path
) -> None:
    odd = [("tree " * 100_000, "plant"), ("", "plant"), ("", "animal"), ("dog " * 100_000, "animal")]
    plain = [(f"{what} number {n}", label) for n in range(6) for what, label in (("oak", "plant"), ("cat", "animal"))]
    spec = {"model": DEMO["model"], "dataset": data(tmp_path, odd + plain), "concerns": ["animal"]}
    job, (module,) = product.decompose(spec | QUICK | {"sampling": {"per_concern": 4}})
    assert job.resolved.dataset is not None
    assert job.resolved.dataset.rows["test"] == len(odd + plain)
    assert module.own.support == 8


def test_a_dataset_of_one_example_is_refused_and_told_what_is_missing(api: TestClient, tmp_path: Path) -> None:
    spec = {"model": DEMO["model"], "dataset": data(tmp_path, [("a cat", "animal")]), "concerns": ["animal"]}
    problem = api.post("/v1/jobs", json=spec).json()
    assert (problem["status"], problem["code"]) == (422, "NOT_ENOUGH_SAMPLES")
    assert problem["hint"]


@pytest.mark.timeout(400)  # a fresh process imports torch, and one more that opens modules
def test_memory_stays_below_what_the_plan_says_and_the_plan_is_not_far_above(
    api: TestClient, backend: Backend, tmp_path: Path
) -> None:
    specs = [DEMO | {"concerns": ["animal"]}, many_classes(tmp_path)]
    planned = [api.post("/v1/jobs?validate_only=true", json=spec).json()["estimate"]["memory_bytes"] for spec in specs]
    jobs = [api.post("/v1/jobs", json=spec).json()["id"] for spec in specs]
    environment = os.environ | backend.settings.environment() | {"MICROLITH_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", WORKER, *jobs], env=environment, check=True, capture_output=True)
    assert [api.get(f"/v1/jobs/{job}").json()["state"] for job in jobs] == ["succeeded"] * 2
    peaks = [int(line.split()[1]) for line in done.stdout.decode().splitlines() if line.startswith("peak")]
    for peak, most in zip(peaks, planned, strict=True):
        assert most / 2 <= peak <= most, f"{peak / 2**20:.0f} MB of {most / 2**20:.0f} MB"


@pytest.mark.parametrize("concern", ["class 0", 1999])
def test_one_of_two_thousand_classes_is_found_by_label_and_by_id(
    api: TestClient, tmp_path: Path, concern: str | int
) -> None:
    plan = api.post("/v1/jobs?validate_only=true", json=many_classes(tmp_path) | {"concerns": [concern]}).json()
    assert [module["concern"]["id"] for module in plan["modules"]] == [int(str(concern).removeprefix("class "))]


def test_more_results_than_anybody_could_read_are_refused_with_a_number_that_fits(
    api: TestClient, tmp_path: Path
) -> None:
    problem = api.post("/v1/jobs", json=many_classes(tmp_path) | {"concerns": "all"}).json()
    assert (problem["status"], problem["errors"][0]["pointer"]) == (422, "/concerns")
    assert "4,000,000 rows" in problem["detail"]
    assert "at most 100 `concerns`" in problem["hint"]
