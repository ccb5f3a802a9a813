"""A request sent twice makes one job."""

from __future__ import annotations

import threading

from fastapi.testclient import TestClient

from app.services.backend import Backend
from tests.work import DEMO

FRESH = DEMO | {"reuse": False}
KEY = {"Idempotency-Key": "once"}


def test_the_same_key_and_body_is_the_same_job(api: TestClient) -> None:
    first = api.post("/v1/jobs", json=FRESH, headers=KEY)
    again = api.post("/v1/jobs", json=dict(reversed(FRESH.items())), headers=KEY)
    assert first.status_code == again.status_code == 202
    assert again.json() == first.json()
    assert len(api.get("/v1/jobs").json()["data"]) == 1


def test_the_same_key_with_another_body_is_refused(api: TestClient) -> None:
    api.post("/v1/jobs", json=FRESH, headers=KEY)
    other = api.post("/v1/jobs", json=FRESH | {"ratio": 0.4}, headers=KEY)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_MISMATCH")


def test_a_request_whose_twin_is_in_flight_is_told_so(api: TestClient, backend: Backend) -> None:
    with backend.database.unit() as unit:
        assert unit.idempotency.reserve("default", "once")
        busy = api.post("/v1/jobs", json=FRESH, headers=KEY)
    assert (busy.status_code, busy.json()["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
    assert api.post("/v1/jobs", json=FRESH, headers=KEY).status_code == 202


def test_a_request_that_was_refused_leaves_its_key_free(api: TestClient) -> None:
    assert api.post("/v1/jobs", json=FRESH | {"concerns": ["nobody"]}, headers=KEY).status_code == 422
    assert api.post("/v1/jobs", json=FRESH, headers=KEY).status_code == 202


def test_a_storm_of_the_same_request_makes_one_job(api: TestClient) -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(api.post("/v1/jobs", json=FRESH, headers=KEY).status_code))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {202, 409}
    assert 202 in codes
    assert len(api.get("/v1/jobs").json()["data"]) == 1


def test_a_key_that_is_too_long_is_a_validation_error(api: TestClient) -> None:
    assert api.post("/v1/jobs", json=FRESH, headers={"Idempotency-Key": "k" * 256}).json()["code"] == "VALIDATION_ERROR"
