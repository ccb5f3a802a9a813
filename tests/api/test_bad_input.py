"""Bad input is answered before anything is queued: a stable code, a pointer to the fault, and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from tests.work import DEMO

CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"model": "demo:nobody"}, "VALIDATION_ERROR", "/model", "bert-tiny-wordnet"),
    ({"model": "bert"}, "VALIDATION_ERROR", "/model", "demo"),
    ({"model": "path:/nowhere/at/all"}, "VALIDATION_ERROR", "/model", "/nowhere/at/all"),
    ({"dataset": "demo:nothing"}, "VALIDATION_ERROR", "/dataset", "wordnet-supersense"),
    ({"dataset": {"ref": "demo:wordnet-supersense", "text_column": "body"}}, "DATASET_INVALID", "/dataset", "text"),
    ({"dataset": {"ref": "demo:wordnet-supersense", "label_column": "y"}}, "DATASET_INVALID", "/dataset", "label"),
    ({"concerns": ["animal", "unicorn"]}, "UNKNOWN_LABELS", "/concerns/1", "substance"),
    ({"concerns": [99]}, "UNKNOWN_LABELS", "/concerns/0", "substance"),
    ({"concerns": []}, "VALIDATION_ERROR", "/concerns", "at least 1"),
    ({"concerns": ["act", "act"]}, "VALIDATION_ERROR", "/concerns", "twice"),
    ({"concerns": "some"}, "VALIDATION_ERROR", "/concerns", "all"),
    ({"method": {"name": "magic"}}, "VALIDATION_ERROR", "/method", "'ci', 'wanda'"),
    ({"method": {"name": "ci", "form": "cosine"}}, "VALIDATION_ERROR", "/method/form", "alpha"),
    ({"structure": "columns"}, "VALIDATION_ERROR", "/structure", "neurons"),
    ({"structure": "heads", "method": {"name": "ci"}}, "VALIDATION_ERROR", "/structure", "`ci` does not score"),
    ({"scope": "2:4", "ratio": 0.3}, "VALIDATION_ERROR", "/ratio", "0.5"),
    ({"scope": "3:7"}, "VALIDATION_ERROR", "/scope", "128"),
    ({"recovery": "magic"}, "VALIDATION_ERROR", "/recovery", "bias"),
    ({"recovery": "distil"}, "VALIDATION_ERROR", "/recovery", "leaves zeros"),
    ({"recovery": "distil", "distil": {"minutes": 0}}, "VALIDATION_ERROR", "/distil/minutes", "greater than 0"),
    ({"recovery": "distil", "distil": {"texts": "all"}}, "VALIDATION_ERROR", "/distil/texts", "train"),
    ({"structure": "neurons", "distil": {"epochs": 3}}, "VALIDATION_ERROR", "/distil", "distil"),
    ({"sampling": {"negatives": "odd"}}, "VALIDATION_ERROR", "/sampling/negatives", "confusers"),
    ({"layers": {"include": ["nothing-like-it"]}}, "NO_MATCHING_LAYERS", "/layers", "intermediate.dense"),
    ({"layers": {"include": ["attention"]}, "structure": "neurons"}, "NO_MATCHING_LAYERS", "/layers", "intermediate"),
    ({"ratio": 0}, "VALIDATION_ERROR", "/ratio", "greater than 0"),
    ({"ratio": 1}, "VALIDATION_ERROR", "/ratio", "less than 1"),
    ({"ratio": -0.5}, "VALIDATION_ERROR", "/ratio", "greater than 0"),
    ({"ratio": "0.5"}, "VALIDATION_ERROR", "/ratio", "number"),
    ({"ratio": True}, "VALIDATION_ERROR", "/ratio", "number"),
    ({"ratio": None}, "VALIDATION_ERROR", "/ratio", "number"),
    ({"ratio": []}, "VALIDATION_ERROR", "/ratio", "at least 1"),
    ({"ratio": [0.5, 2]}, "VALIDATION_ERROR", "/ratio/1", "less than 1"),
    ({"ratio": [0.5, 0.5]}, "VALIDATION_ERROR", "/ratio", "twice"),
    ({"ratio": [i / 1000 for i in range(1, 999)]}, "VALIDATION_ERROR", "/ratio", "at most 16"),
    ({"sampling": {"per_concern": 5000}}, "VALIDATION_ERROR", "/sampling/per_concern", "4096"),
    ({"sampling": {"per_concern": 4000}}, "NOT_ENOUGH_SAMPLES", "/sampling/per_concern", "4000"),
    ({"sampling": {"per_concern": 2.5}}, "VALIDATION_ERROR", "/sampling/per_concern", "integer"),
    ({"export": {"layouts": ["tarball"]}}, "VALIDATION_ERROR", "/export/layouts/0", "portable"),
    ({"export": {"onnx": {"int8": True}}}, "VALIDATION_ERROR", "/export/onnx/int8", "not in `layouts`"),
    ({"deadline_seconds": 0}, "VALIDATION_ERROR", "/deadline_seconds", "greater than or equal to 1"),
    ({"labels": {"a b": "c"}}, "VALIDATION_ERROR", "/labels", "pattern"),
    ({"colour": "red"}, "VALIDATION_ERROR", "/colour", "not permitted"),
]


@pytest.mark.parametrize(("change", "code", "pointer", "told"), CASES, ids=lambda v: json.dumps(v)[:60])
def test_a_bad_spec_is_refused_with_its_place_and_the_choices(
    api: TestClient, change: dict[str, Any], code: str, pointer: str, told: str
) -> None:
    answer = api.post("/v1/jobs", json=DEMO | change)
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code, problem
    assert any(error["pointer"].startswith(pointer) for error in problem["errors"]), problem
    assert told in problem["detail"], problem
    assert problem["status"] == 422
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert api.get("/v1/jobs").json()["data"] == []


def test_a_number_that_is_not_one_is_refused(api: TestClient) -> None:
    for value in ("NaN", "Infinity", "-Infinity", "1e999"):
        body = f'{{"model": "{DEMO["model"]}", "dataset": "{DEMO["dataset"]}", "ratio": {value}}}'
        answer = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR"), value


@pytest.mark.parametrize(
    "request_line",
    [
        "/v1/jobs?model=%00",
        "/v1/jobs?label.a=%00",
        "/v1/jobs?cursor=%F3%99%97%A8",
        "/v1/jobs?cursor=AAAA",
        "/v1/jobs/%00",
        "/v1/jobs/%F3%99%97%A8/modules?cursor=%C2%9D",
        "/v1/models/demo:%00",
        "/v1/models/path:%00",
    ],
)
def test_strange_characters_break_nothing(api: TestClient, request_line: str) -> None:
    answer = api.get(request_line)
    assert answer.status_code in {200, 404, 422}, answer.text


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
def test_text_that_cannot_be_stored_is_refused(api: TestClient, text: str) -> None:
    for part in (f'"labels": {{"a": "{text}"}}', f'"concerns": ["{text}"]', f'"layers": {{"exclude": ["{text}"]}}'):
        body = f'{{"model": "{DEMO["model"]}", "dataset": "{DEMO["dataset"]}", {part}}}'
        answer = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
def test_a_name_that_cannot_be_told_is_refused(api: TestClient, text: str) -> None:
    for part in (f'"a{text}": 1', f'"labels": {{"a{text}": "b"}}', f'"sampling": {{"boundary": {{"{text}": []}}}}'):
        body = f'{{"model": "{DEMO["model"]}", "dataset": "{DEMO["dataset"]}", {part}}}'
        answer = api.post("/v1/jobs?validate_only=true", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")
        assert "half a surrogate pair" in answer.json()["detail"]


def test_a_body_that_is_not_text_is_a_validation_error(api: TestClient) -> None:
    answer = api.post("/v1/jobs", content=b"\xff\x07l\x81", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")


def test_a_missing_field_is_named(api: TestClient) -> None:
    problem = api.post("/v1/jobs", json={"model": DEMO["model"]}).json()
    assert problem["errors"] == [{"pointer": "/dataset", "detail": "Field required"}]


def test_labels_that_do_not_match_the_dataset_are_listed(api: TestClient, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("text,label\n" + "\n".join(f"text {i},{label}" for i, label in enumerate(["dog", "cat"] * 40)))
    problem = api.post("/v1/jobs", json=DEMO | {"dataset": f"path:{data}"}).json()
    assert problem["code"] == "UNKNOWN_LABELS"
    assert "cat, dog" in problem["detail"]
    assert "substance" in problem["detail"]


def test_paths_are_refused_where_the_server_is_not_the_callers_own(backend: Backend, tmp_path: Path) -> None:
    from app.main import create_app

    settings = backend.settings.model_copy(update={"allow_paths": ()})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        problem = api.post("/v1/jobs", json=DEMO | {"model": f"path:{tmp_path}"}).json()
        assert problem["code"] == "VALIDATION_ERROR"
        assert problem["errors"][0]["pointer"] == "/model"
        assert api.get(f"/v1/models/path:{tmp_path}").json()["code"] == "NOT_FOUND"


def test_a_body_over_a_megabyte_is_refused_announced_or_not(api: TestClient) -> None:
    body = json.dumps(DEMO | {"labels": {"a": "x" * 1_000_001}}).encode()
    announced = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (announced.status_code, announced.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")

    chunked = api.post(
        "/v1/jobs", content=iter([body[:600_000], body[600_000:]]), headers={"Content-Type": "application/json"}
    )
    assert (chunked.status_code, chunked.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "["),
        ("Host", "a b"),
        ("Content-Length", "-1"),
        ("Content-Length", "5, 5"),
        ("Last-Event-ID", str(2**63)),
    ],
)
def test_a_header_that_makes_no_sense_is_named(api: TestClient, name: str, value: str) -> None:
    headers = {"Accept": "text/event-stream", name: value}
    problem = api.get("/v1/jobs/job_x/events", headers=headers).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("VALIDATION_ERROR", f"/{name.lower()}")


def test_an_unknown_path_or_method_is_a_problem_too(api: TestClient) -> None:
    missing = api.get("/v2/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    wrong = api.put("/v1/jobs")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["allow"]


def test_an_unexpected_fault_tells_nothing_but_its_id(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.main import create_app
    from app.services import catalog

    def broken() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(catalog, "methods", broken)
    with TestClient(create_app(backend.settings), base_url="http://127.0.0.1", raise_server_exceptions=False) as api:
        answer = api.get("/v1/methods")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text
    assert answer.json()["request_id"]
