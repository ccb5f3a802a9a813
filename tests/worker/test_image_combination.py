"""Modules of a real image classifier become one: the whole way, from the request to the file that a stranger runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from microlith.client.archive import check_sums
from microlith.combined import load
from microlith.contract import Module
from tests import assets
from tests.work import DEMO
from tests.worker.conftest import Product

pytestmark = assets.present

FAST: dict[str, Any] = {"evaluation": {"limit": 40, "similarity": False, "latency": False}}


@pytest.fixture(scope="module")
def product(kept_product: Product) -> Product:
    return kept_product


@pytest.fixture
def modules(product: Product) -> list[Module]:
    return product.decompose(assets.JOB | FAST | {"concerns": ["3", "8"]})[1]


def digits() -> tuple[list[np.ndarray[Any, Any]], list[str]]:
    """Threes and eights of the test split, as the dataset has them, and which they are."""
    table = pq.read_table(assets.DATA / "test.parquet").to_pylist()
    rows = [row for row in table if str(row["label"]) in ("3", "8")]
    return [np.array(row["pixels"], np.float32).reshape(1, 8, 8) for row in rows], [str(row["label"]) for row in rows]


def test_a_class_set_of_digits_has_its_layouts(product: Product, modules: list[Module]) -> None:
    layouts = ["portable", "compact", "mask"]
    job, told = product.combine(modules, "class_set", assets.JOB["dataset"], export={"layouts": layouts})
    assert [artifact.layout for artifact in job.artifacts] == layouts
    assert told.comparison.accuracy.combined.value > 0.95
    for layout in layouts:
        check_sums(product.unpacked(job, layout))


def test_recomposed_digits_are_read_as_the_dataset_has_them(product: Product, modules: list[Module]) -> None:
    job, told = product.combine(modules, "recompose", assets.JOB["dataset"])
    assert told.comparison.accuracy.combined.value > 0.95
    images, labels = digits()
    answers = load(product.unpacked(job)).predict(images)
    assert np.mean([answer == label for answer, label in zip(answers, labels, strict=True)]) > 0.95


def test_modules_that_read_texts_and_images_are_refused_at_once(product: Product, modules: list[Module]) -> None:
    _, (text,) = product.decompose(DEMO | FAST | {"concerns": ["animal"]})
    body = {"mode": "recompose", "modules": [modules[0].id, text.id], "dataset": DEMO["dataset"]}
    problem = product.api.post("/v1/modules:combine", json=body).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/modules")
    assert "'animal' read texts, those of '3' read images" in problem["detail"]
