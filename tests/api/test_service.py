"""The service as an operator and a reader of its description see it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import get_args

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from app.main import create_app
from app.services.backend import Backend
from app.services.catalog import METHODS, OPTIONS
from microlith.contract import JobSpec, Methods
from microlith.contract.methods import Structure

SNAPSHOT = Path(__file__).with_name("openapi.json")


def test_health_and_readiness(api: TestClient) -> None:
    assert api.get("/healthz").json()["status"] == "ok"
    ready = api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "migrations": "ok", "broker": "ok", "objects": "ok"}


def test_a_part_that_is_away_is_named_by_readiness(backend: Backend) -> None:
    settings = backend.settings.model_copy(update={"broker_url": "redis://127.0.0.1:9/0"})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "ok"
    assert answer.json()["checks"]["broker"] != "ok"


def test_a_broker_that_is_away_loses_no_job(backend: Backend) -> None:
    settings = backend.settings.model_copy(update={"broker_url": "redis://127.0.0.1:9/0"})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        job = api.post(
            "/v1/jobs", json={"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "reuse": False}
        )
        assert job.status_code == 202
        assert api.get(job.json()["urls"]["self"]).json()["state"] == "queued"


def test_metrics_count_requests_by_route(api: TestClient) -> None:
    api.get("/v1/jobs/job_x")
    assert re.search(
        r'microlith_http_request_seconds_count\{method="GET",route="/v1/jobs/\{job_id\}",status="404"\} [1-9]',
        api.get("/metrics").text,
    )


def test_a_request_keeps_its_callers_id(api: TestClient) -> None:
    assert api.get("/v1/jobs", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert api.get("/v1/jobs", headers={"X-Request-Id": "bad id"}).headers["x-request-id"].startswith("req_")


def test_the_openapi_document_is_the_one_that_was_agreed(api: TestClient) -> None:
    """A change of the contract shows up in review: run with UPDATE_SNAPSHOTS=1 to accept it."""
    document = json.dumps(api.get("/openapi.json").json(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(document)
    assert document == SNAPSHOT.read_text()


def test_every_route_documents_its_errors_as_problems(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            errors = {code: answer for code, answer in operation["responses"].items() if code[0] in "45"}
            if path.startswith("/v1"):
                assert {"401", "422", "500"} <= errors.keys(), (method, path)
                assert all("application/problem+json" in answer["content"] for answer in errors.values()), path


def test_methods_tells_every_option_with_schema_default_and_sentence(api: TestClient) -> None:
    answer = api.get("/v1/methods").json()
    names = {method["name"] for method in answer["methods"]}
    assert names == {"ci", "wanda", "magnitude", "zscore", "random", "taylor", "heads"}
    structures = {structure["name"] for structure in answer["structures"]}
    assert structures == set(get_args(Structure))
    assert all(set(method["structures"]) <= structures for method in answer["methods"])
    assert {option["name"] for option in answer["options"]} == set(JobSpec.model_fields) - {
        "model",
        "dataset",
        "method",
    }
    for entry in [*answer["methods"], *answer["structures"], *answer["options"]]:
        assert len(entry["description"]) > 20, entry["name"]
    for option in answer["options"]:
        Draft202012Validator.check_schema(option["schema"])
        Draft202012Validator(option["schema"]).validate(option["default"])
    for method in answer["methods"]:
        Draft202012Validator(method["schema"]).validate(method["defaults"])
        assert method["source"]
    Methods.model_validate(answer)
    assert len(METHODS) == len(names)
    assert set(OPTIONS) == {option["name"] for option in answer["options"]}


def test_the_demo_model_and_dataset_are_listed_with_counts_and_told_singly_with_their_facts(api: TestClient) -> None:
    listed = api.get("/v1/models").json()["data"][0]
    model = api.get(f"/v1/models/{listed['id']}").json()
    assert model["id"] == "demo:bert-tiny-wordnet"
    assert model["labels"][:2] == ["act", "animal"]
    assert (model["parameters"], model["max_length"]) == (2_147_084, 128)
    feed_forward = [layer["name"] for layer in model["layers"] if layer["feed_forward"]]
    assert len(feed_forward) == 4
    assert (model["label_count"], model["layer_count"]) == (12, len(model["layers"]))
    assert listed == model | {"labels": [], "layers": []}

    listed = api.get("/v1/datasets").json()["data"][0]
    dataset = api.get(f"/v1/datasets/{listed['id']}").json()
    assert dataset["id"] == "demo:wordnet-supersense"
    assert dataset["splits"]["test"]["rows"] == 3445
    assert sum(dataset["splits"]["test"]["labels"].values()) == 3445
    assert (dataset["label_count"], dataset["column_count"]) == (12, len(dataset["columns"]))
    rows = {role: split | {"labels": {}} for role, split in dataset["splits"].items()}
    assert listed == dataset | {"columns": {}, "class_names": None, "splits": rows, "first_rows": []}


@pytest.mark.parametrize("path", ["models/demo:nobody", "datasets/demo:nothing", "models/xyz", "datasets/xyz"])
def test_a_source_that_is_not_there_is_not_found(api: TestClient, path: str) -> None:
    answer = api.get(f"/v1/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_a_hub_source_is_only_known_to_a_worker(api: TestClient) -> None:
    answer = api.get("/v1/models/hub:org/name")
    assert (answer.status_code, answer.json()["code"]) == (422, "SOURCE_UNAVAILABLE")
    assert answer.json()["hint"] == "Submit a job with it."
