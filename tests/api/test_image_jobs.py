"""Image classification over the API: what is described, planned and refused before anything is queued."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from tests import assets
from tests.work import DEMO

pytestmark = assets.present


def test_models_and_datasets_say_what_they_read_and_hold(api: TestClient) -> None:
    model = api.get(f"/v1/models/{assets.JOB['model']}").json()
    assert (model["task"], model["image_shape"], model["family"]) == ("image", [1, 8, 8], "vit")
    dataset = api.get(f"/v1/datasets/{assets.JOB['dataset']}").json()
    assert (dataset["text_column"], dataset["image_column"], dataset["label_column"]) == (None, "pixels", "label")
    assert dataset["splits"]["test"]["rows"] == 180
    assert api.get("/v1/models/demo:bert-tiny-wordnet").json()["task"] == "text"


@pytest.mark.parametrize("structure", ["weights", "neurons"])
def test_a_job_on_images_is_planned(api: TestClient, structure: str) -> None:
    plan = api.post("/v1/jobs?validate_only=true", json=assets.JOB | {"structure": structure}).json()
    assert len(plan["modules"]) == 10
    assert plan["resolved"]["dataset"]["rows"] == {"train": 1437, "validation": 180, "test": 180}
    assert all("mlp" in layer for layer in plan["resolved"]["layers"])


def test_images_that_do_not_fit_the_model_are_refused_with_both_sizes(api: TestClient, tmp_path: Path) -> None:
    rows = pa.table({"pixels": [[0] * 49] * 64, "label": [str(n % 10) for n in range(64)]})
    pq.write_table(rows, tmp_path / "digits.parquet")
    problem = api.post("/v1/jobs", json=assets.JOB | {"dataset": f"path:{tmp_path / 'digits.parquet'}"}).json()
    assert problem["code"] == "DATASET_INVALID"
    assert "49 numbers" in problem["detail"]
    assert "1 × 8 × 8" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "/dataset/image_column"


def test_a_model_and_data_of_different_tasks_do_not_meet(api: TestClient) -> None:
    for pair in ({"model": assets.JOB["model"], "dataset": DEMO["dataset"]}, {**assets.JOB, "model": DEMO["model"]}):
        problem = api.post("/v1/jobs", json=pair).json()
        assert (problem["code"], problem["status"]) == ("DATASET_INVALID", 422)
        assert "Columns:" in problem["detail"]
