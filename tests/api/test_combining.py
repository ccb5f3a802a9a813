"""The data of a combination is looked at when it is submitted, as that of any other job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from tests.archives import register
from tests.work import LABELS, claim, finish, publish, publisher_of, report, submit

ROWS = "\n".join(f"{LABELS[at % 2]},a text of number {at}" for at in range(40))


@pytest.fixture
def modules(api: TestClient, backend: Backend, tmp_path: Path) -> list[str]:
    """Two modules of the demo's model."""
    lease = claim(backend, submit(backend, concerns=[0, 1]))
    for concern in (0, 1):
        publish(publisher_of(backend, lease), tmp_path, concern, report(0.9, 0.8, 0.7))
    finish(backend, lease)
    return [module["id"] for module in api.get(f"/v1/jobs/{lease.job_id}/modules").json()["data"]]


def combined(api: TestClient, modules: list[str], dataset: Any, **more: Any) -> Any:
    body = {"mode": "class_set", "modules": modules, "dataset": dataset} | more
    return api.post("/v1/modules:combine", json=body)


def refused(api: TestClient, modules: list[str], dataset: Any, **more: Any) -> tuple[str, str, str]:
    """Code, pointer and words."""
    answer = combined(api, modules, dataset, **more)
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert api.get("/v1/jobs?kind=combine").json()["data"] == []
    return problem["code"], problem["errors"][0]["pointer"], problem["detail"]


def test_the_columns_that_the_data_was_registered_with_are_used(api: TestClient, modules: list[str]) -> None:
    columns = {"text_column": "body", "label_column": "kind"}
    data = register(api, "dataset", "texts.csv", f"kind,body\n{ROWS}\n".encode(), **columns)
    answer = combined(api, modules, data["id"])
    assert answer.status_code == 202, answer.text
    source = answer.json()["spec"]["dataset"]
    assert {name: source[name] for name in columns} == columns


def test_columns_that_are_not_there_are_told_at_once(api: TestClient, modules: list[str], tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(f"kind,body\n{ROWS}\n")
    code, pointer, told = refused(api, modules, f"path:{file}")
    assert (code, pointer) == ("DATASET_INVALID", "/dataset/text_column")
    assert "kind, body" in told


def test_labels_that_no_model_knows_are_told_at_once(api: TestClient, modules: list[str], tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("text,label\n" + "\n".join(f"a text {at},dinosaur" for at in range(20)) + "\n")
    code, _, told = refused(api, modules, f"path:{file}")
    assert code == "UNKNOWN_LABELS"
    assert "dinosaur" in told


def test_a_mask_of_rounded_weights_is_refused_at_once(api: TestClient, modules: list[str]) -> None:
    export = {"layouts": ["mask"], "dtype": "float16"}
    code, pointer, _ = refused(api, modules, "demo:wordnet-supersense", export=export)
    assert (code, pointer) == ("VALIDATION_ERROR", "/export/dtype")
