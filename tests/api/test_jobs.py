"""Jobs over HTTP: submitted, found, listed, waited for, cancelled, retried, deleted."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.services import lifecycle
from app.services.backend import Backend
from microlith.contract import Sampling
from tests.work import DEMO, base_result, claim, finish, publish, publisher_of, report, submit

FRESH = DEMO | {"reuse": False}


def test_a_submitted_job_is_answered_whole_and_found_right_after(api: TestClient) -> None:
    answer = api.post("/v1/jobs", json=FRESH)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == job["urls"]["self"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "queued"
    assert job["concerns"] == {"total": 12, "succeeded": 0, "failed": 0}
    assert job["queue_position"] == 1
    assert job["resolved"]["dataset"]["rows"] == {"train": 27556, "validation": 3444, "test": 3445}
    assert len(job["resolved"]["layers"]) == 4
    assert api.get(job["urls"]["self"]).json() == job


def test_the_spec_comes_back_with_every_default_filled_in(api: TestClient) -> None:
    spec = api.post("/v1/jobs", json=FRESH).json()["spec"]
    assert spec["sampling"] == Sampling().model_dump()
    assert (spec["sampling"]["per_concern"], spec["sampling"]["order"], spec["sampling"]["seed"]) == (16, "first", 44)
    assert spec["calibration"] == {"pads": "exclude", "pairing": "free"}
    assert (spec["ratio"], spec["structure"], spec["method"]["name"]) == (0.5, "weights", "ci")


def test_validate_only_tells_the_plan_and_queues_nothing(api: TestClient) -> None:
    answer = api.post("/v1/jobs?validate_only=true", json=FRESH | {"concerns": ["animal", 0], "ratio": [0.3, 0.6]})
    assert answer.status_code == 200
    plan = answer.json()
    assert [(m["concern"]["label"], m["ratio"]) for m in plan["modules"]] == [
        ("animal", 0.3),
        ("act", 0.3),
        ("animal", 0.6),
        ("act", 0.6),
    ]
    assert plan["estimate"]["seconds"] > 0
    assert plan["estimate"]["bytes"] == 4 * 8_592_856
    assert plan["resolved"]["layers"][0] == "bert.encoder.layer.0.intermediate.dense"
    assert api.get("/v1/jobs").json()["data"] == []


def test_an_identical_finished_job_is_answered_again(api: TestClient, backend: Backend) -> None:
    first = api.post("/v1/jobs", json=DEMO).json()["id"]
    assert api.post("/v1/jobs", json=DEMO).json()["id"] != first, "a job that has not finished answers nobody"
    finish(backend, claim(backend, first))
    assert api.post("/v1/jobs", json=DEMO | {"labels": {"who": "me"}}).json()["id"] == first
    assert api.post("/v1/jobs", json=DEMO | {"reuse": False}).json()["id"] != first
    assert api.post("/v1/jobs", json=DEMO | {"ratio": 0.6}).json()["id"] != first


def test_queue_positions_follow_priority_then_age(api: TestClient) -> None:
    ids = [api.post("/v1/jobs", json=FRESH | {"priority": p}).json()["id"] for p in ("normal", "low", "high")]
    positions = {job["id"]: job["queue_position"] for job in api.get("/v1/jobs").json()["data"]}
    assert [positions[job_id] for job_id in ids] == [2, 3, 1]


def test_an_unknown_job_is_not_found_everywhere(api: TestClient) -> None:
    for method, path in [
        ("GET", "/v1/jobs/job_x"),
        ("GET", "/v1/jobs/job_x/events"),
        ("GET", "/v1/jobs/job_x/modules"),
        ("GET", "/v1/jobs/job_x/results"),
        ("GET", "/v1/jobs/job_x/results.csv"),
        ("POST", "/v1/jobs/job_x/cancel"),
        ("POST", "/v1/jobs/job_x/retry"),
        ("DELETE", "/v1/jobs/job_x"),
        ("GET", "/v1/modules/mod_x"),
        ("GET", "/v1/artifacts/art_x"),
        ("GET", "/v1/artifacts/art_x/content"),
    ]:
        answer = api.request(method, path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "NOT_FOUND"


def test_another_callers_job_is_not_found(api: TestClient, backend: Backend) -> None:
    theirs = submit(backend, owner="somebody else")
    assert api.get(f"/v1/jobs/{theirs}").status_code == 404
    assert api.get(f"/v1/jobs/{theirs}/events").status_code == 404
    assert api.post(f"/v1/jobs/{theirs}/cancel").status_code == 404
    assert api.get("/v1/jobs").json()["data"] == []


def test_lists_are_paged_by_a_cursor_that_is_stable_while_jobs_arrive(api: TestClient) -> None:
    old = [api.post("/v1/jobs", json=FRESH).json()["id"] for _ in range(5)]
    page = api.get("/v1/jobs?limit=2").json()
    api.post("/v1/jobs", json=FRESH)
    seen = [job["id"] for job in page["data"]]
    while page["next_cursor"]:
        page = api.get("/v1/jobs", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [job["id"] for job in page["data"]]
    assert seen == sorted(old, reverse=True)


def test_a_limit_over_a_hundred_is_taken_as_a_hundred_and_a_strange_cursor_refused(api: TestClient) -> None:
    assert api.get("/v1/jobs?limit=5000").status_code == 200
    assert api.get("/v1/jobs?limit=0").json()["code"] == "VALIDATION_ERROR"
    refused = api.get("/v1/jobs?cursor=%21%21")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/cursor")


def test_lists_are_filtered(api: TestClient) -> None:
    red = api.post("/v1/jobs", json=FRESH | {"labels": {"colour": "red", "size": "s"}}).json()
    blue = api.post("/v1/jobs", json=FRESH | {"labels": {"colour": "blue"}}).json()
    api.post(f"/v1/jobs/{blue['id']}/cancel")

    def found(query: str) -> set[str]:
        answer = api.get(f"/v1/jobs?{query}")
        assert answer.status_code == 200
        return {job["id"] for job in answer.json()["data"]}

    both = {red["id"], blue["id"]}
    assert found("label.colour=red") == {red["id"]}
    assert found("label.colour=red&label.size=m") == set()
    assert found("state=cancelled") == {blue["id"]}
    assert found(f"model={DEMO['model']}&dataset={DEMO['dataset']}&method=ci") == both
    assert found("model=demo:other") == set()
    assert found("created_after=2020-01-01T00:00:00Z") == both
    assert found("created_before=2020-01-01T00:00:00Z") == set()
    assert api.get("/v1/jobs?state=sleeping").status_code == 422


def test_cancel_and_retry_move_a_job_and_refuse_the_wrong_state(api: TestClient) -> None:
    url = api.post("/v1/jobs", json=FRESH).json()["urls"]["self"]
    assert api.post(f"{url}/retry").status_code == 409
    cancelled = api.post(f"{url}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    again = api.post(f"{url}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")
    retried = api.post(f"{url}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "queued")


def test_a_get_with_the_etag_it_gave_is_not_sent_again(api: TestClient) -> None:
    url = api.post("/v1/jobs", json=FRESH).json()["urls"]["self"]
    etag = api.get(url).headers["etag"]
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 304
    api.post(f"{url}/cancel")
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 200


def test_a_get_that_waits_is_answered_at_the_first_change(api: TestClient, backend: Backend) -> None:
    job_id = api.post("/v1/jobs", json=FRESH).json()["id"]
    timer = threading.Timer(0.5, lambda: claim(backend, job_id))
    timer.start()
    began = time.monotonic()
    answer = api.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"})
    timer.join()
    assert answer.json()["state"] == "running"
    assert time.monotonic() - began < 10


def test_a_get_that_waits_in_vain_is_answered_when_its_time_is_up(api: TestClient) -> None:
    url = api.post("/v1/jobs", json=FRESH).json()["urls"]["self"]
    began = time.monotonic()
    assert api.get(url, headers={"Prefer": "respond-async, wait=1"}).json()["state"] == "queued"
    assert 0.9 < time.monotonic() - began < 10


def test_a_get_that_waits_with_an_old_etag_is_answered_at_once(api: TestClient) -> None:
    url = api.post("/v1/jobs", json=FRESH).json()["urls"]["self"]
    seen = api.get(url).headers["etag"]
    api.post("/v1/jobs", json=FRESH | {"priority": "high"})
    began = time.monotonic()
    answer = api.get(url, headers={"Prefer": "wait=20", "If-None-Match": seen})
    assert answer.json()["queue_position"] == 2
    assert time.monotonic() - began < 5


def test_a_finished_job_is_deleted_with_all_it_made(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    job_id = api.post("/v1/jobs", json=FRESH | {"concerns": ["act"]}).json()["id"]
    assert api.delete(f"/v1/jobs/{job_id}").json()["code"] == "CONFLICT"
    lease = claim(backend, job_id)
    publish(publisher_of(backend, lease), tmp_path, 0, report(0.9))
    finish(backend, lease)
    module = api.get(f"/v1/jobs/{job_id}/modules").json()["data"][0]
    assert len(list(backend.objects.list())) == 1
    assert api.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert api.get(f"/v1/jobs/{job_id}").status_code == 404
    assert api.get(f"/v1/modules/{module['id']}").status_code == 404
    assert list(backend.objects.list()) == []


def test_an_object_that_another_job_shares_outlives_the_deleted_one(
    api: TestClient, backend: Backend, tmp_path: Path
) -> None:
    ids = [submit(backend) for _ in range(2)]
    for place, job_id in enumerate(ids):
        lease = claim(backend, job_id)
        folder = tmp_path / str(place)
        folder.mkdir()
        publish(publisher_of(backend, lease), folder, 0, report(0.9))
        finish(backend, lease)
    api.delete(f"/v1/jobs/{ids[0]}")
    artifact = api.get(f"/v1/jobs/{ids[1]}/modules").json()["data"][0]["artifacts"][0]
    assert api.get(artifact["urls"]["content"]).status_code == 200
    api.delete(f"/v1/jobs/{ids[1]}")
    assert list(backend.objects.list()) == []


def test_a_failed_job_keeps_its_events_and_says_why(api: TestClient, backend: Backend) -> None:
    from app.domain.errors import SourceUnavailable

    job_id = submit(backend)
    with claim(backend, job_id).write() as (unit, job):
        lifecycle.fail(unit, job, SourceUnavailable("gone", hint="look elsewhere"))
    job = api.get(f"/v1/jobs/{job_id}").json()
    assert job["state"] == "failed"
    assert job["error"] == {"code": "SOURCE_UNAVAILABLE", "message": "gone", "hint": "look elsewhere"}
    types = [event["type"] for event in api.get(f"/v1/jobs/{job_id}/events").json()["data"]]
    assert types == ["job.queued", "job.running", "job.failed"]


def test_a_hub_source_is_taken_on_trust_until_a_worker_fetches_it(api: TestClient) -> None:
    hub = {"model": "hub:org/name@main", "dataset": "hub:org/data"}
    job = api.post("/v1/jobs", json=hub).json()
    assert (job["state"], job["resolved"]["model"], job["concerns"]["total"]) == ("queued", None, 0)
    plan = api.post("/v1/jobs?validate_only=true", json=hub).json()
    assert plan["estimate"] == {"seconds": None, "bytes": None, "memory_bytes": None}


@pytest.mark.parametrize("body", ["{", "[]", "null", '"x"', ""])
def test_a_body_that_is_no_spec_is_a_validation_error(api: TestClient, body: str) -> None:
    answer = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")


def test_the_results_document_grows_with_the_modules(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    job_id = submit(backend, concerns=["act", "animal"])
    empty = api.get(f"/v1/jobs/{job_id}/results").json()
    assert (empty["base"], empty["modules"], empty["comparison"]) == (None, [], [])

    lease = claim(backend, job_id)
    publisher = publisher_of(backend, lease)
    publisher.publish_base(base_result())
    publish(publisher, tmp_path, 0, report(0.9, 0.5))
    publish(publisher, tmp_path, 1, report(0.6, 0.8))
    results = api.get(f"/v1/jobs/{job_id}/results").json()
    assert results["base"]["report"]["macro"]["f1"] == pytest.approx(0.8)
    assert [module["concern"]["label"] for module in results["modules"]] == ["act", "animal"]
    assert [module["others_own"]["f1"] for module in results["modules"]] == [0.6, 0.5]
    assert results["comparison"] == [
        {"ratio": 0.5, "concerns": 2, "own_f1": pytest.approx(0.85), "base_own_f1": pytest.approx(0.85), "change": 0.0}
    ]
    assert api.get(f"/v1/jobs/{job_id}").json()["concerns"]["succeeded"] == 2


def test_the_csv_is_the_seed_systems_table(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    job_id = submit(backend, concerns=["act", "animal"])
    lease = claim(backend, job_id)
    for concern in (0, 1):
        publish(publisher_of(backend, lease), tmp_path, concern, report(0.912345, 0.8))
    answer = api.get(f"/v1/jobs/{job_id}/results.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == (
        "class,precision,recall,f1-score,support\nact,0.9123,0.9123,0.9123,10\nanimal,0.8000,0.8000,0.8000,10\n"
    )


def test_a_sweeps_csv_has_one_block_per_ratio(api: TestClient, backend: Backend, tmp_path: Path) -> None:
    job_id = submit(backend, concerns=["act"], ratio=[0.6, 0.3])
    lease = claim(backend, job_id)
    for ratio in (0.6, 0.3):
        publish(publisher_of(backend, lease), tmp_path, 0, report(0.9), ratio=ratio)
    assert api.get(f"/v1/jobs/{job_id}/results.csv").text.splitlines() == [
        "ratio,class,precision,recall,f1-score,support",
        "0.3,act,0.9000,0.9000,0.9000,10",
        "0.6,act,0.9000,0.9000,0.9000,10",
    ]
    assert api.get(f"/v1/jobs/{job_id}").json()["concerns"]["succeeded"] == 1
