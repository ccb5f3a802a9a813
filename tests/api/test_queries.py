"""A query that says something a route does not know is refused: who misspells a filter must not be shown everything."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.work import DEMO


def calls(api: TestClient) -> list[tuple[str, str]]:
    """Method and path of every call of the API, with an id in the place of each parameter."""
    paths = api.app.openapi()["paths"]  # type: ignore[attr-defined]
    return [
        (method.upper(), "/".join("x" if "{" in part else part for part in path.split("/")))
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1/")
    ]


def refused(api: TestClient, method: str, path: str, query: str) -> dict[str, Any]:
    answer = api.request(method, f"{path}?{query}")
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "VALIDATION_ERROR"), (method, path, problem)
    return problem


def test_no_call_takes_a_parameter_that_it_does_not_know(api: TestClient) -> None:
    for method, path in calls(api):
        problem = refused(api, method, path, "nonsense=1")
        assert problem["errors"][0]["pointer"] == "/nonsense"
        assert "`nonsense`" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sate=failed", "Did you mean `state`?"),
        ("labels.team=x", "Did you mean `label.KEY`?"),
        ("label=team", "`label.KEY`"),
        ("State=failed", "Did you mean `state`?"),
        ("createdafter=2026-01-01", "Did you mean `created_after`?"),
        ("page=2", "It takes `created_after`, `created_before`, `cursor`"),
    ],
)
def test_a_misspelt_filter_names_the_one_that_was_meant(api: TestClient, query: str, told: str) -> None:
    assert told in refused(api, "GET", "/v1/jobs", query)["detail"]


def test_a_call_that_takes_none_says_so(api: TestClient) -> None:
    assert "It takes none." in refused(api, "DELETE", "/v1/jobs/job_x", "force=true")["detail"]


def test_a_misspelt_validate_only_queues_nothing(api: TestClient) -> None:
    answer = api.post("/v1/jobs?validateOnly=true", json=DEMO)
    assert answer.status_code == 422
    assert "Did you mean `validate_only`?" in answer.json()["detail"]
    assert api.get("/v1/jobs").json()["data"] == []


def test_a_parameter_that_comes_twice_is_refused(api: TestClient) -> None:
    for query in ("state=failed&state=queued", "label.a=1&label.a=2"):
        assert "more than once" in refused(api, "GET", "/v1/jobs", query)["detail"]


def test_what_a_call_knows_is_let_through(api: TestClient) -> None:
    api.post("/v1/jobs", json=DEMO | {"labels": {"team": "a"}})
    query = "kind=decompose&state=queued&model=demo:bert-tiny-wordnet&method=ci&limit=5&label.team=a"
    assert len(api.get(f"/v1/jobs?{query}").json()["data"]) == 1
    assert api.get("/?anything=1").status_code == 200, "pages look past it"
