"""What the client sends, what it sends again, and what it makes of refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
import wire
from small_service import QUICK, Reply, SmallService, answer, problem

import microlith
from microlith.client import Client, Retry
from microlith.contract import JobSpec
from microlith.errors import (
    InvalidInputProblem,
    JobFailed,
    NotFoundProblem,
    ProblemError,
    RateLimitedProblem,
    ServerProblem,
    UnauthenticatedProblem,
    UnexpectedAnswer,
    Unreachable,
)

JOBS = "POST /v1/jobs"


def test_a_submission_carries_the_key_the_whole_spec_and_an_idempotency_key(
    service: SmallService, client: Client
) -> None:
    service.on(JOBS, answer(wire.job(), 202))
    assert client.submit(JobSpec(**wire.SPEC)).id == "job_1"
    sent = service.asked[0]
    assert sent.headers["authorization"] == "Bearer a-very-secret-key"
    assert len(sent.headers["idempotency-key"]) == 36
    assert JobSpec.model_validate_json(sent.body) == JobSpec(**wire.SPEC)


def test_every_attempt_of_a_submission_carries_the_same_idempotency_key(service: SmallService, client: Client) -> None:
    in_flight = problem(409, "IDEMPOTENCY_IN_FLIGHT")
    service.on(JOBS, Reply(cut=-1), problem(503, "INTERNAL"), in_flight, answer(wire.job(), 202))
    client.submit(wire.SPEC)
    keys = {asked.headers["idempotency-key"] for asked in service.asked}
    assert (len(service.asked), len(keys)) == (4, 1)


def test_two_submissions_carry_different_keys(service: SmallService, client: Client) -> None:
    service.on(JOBS, answer(wire.job(), 202))
    client.submit(wire.SPEC)
    client.submit(wire.SPEC)
    assert len({asked.headers["idempotency-key"] for asked in service.asked}) == 2


@pytest.mark.parametrize(
    "failure", [problem(429, "RATE_LIMITED"), Reply(b"<h1>busy</h1>", 502), Reply(b"", 504), Reply(cut=-1)]
)
def test_a_read_is_tried_again_after(service: SmallService, client: Client, failure: Reply) -> None:
    service.on("GET /v1/jobs/job_1", failure, answer(wire.job()))
    assert client.job("job_1").state == "queued"


def test_an_answer_cut_in_the_middle_is_asked_for_again(service: SmallService, client: Client) -> None:
    whole = answer(wire.job())
    service.on("GET /v1/jobs/job_1", Reply(whole.body, 200, whole.headers, cut=20), whole)
    assert client.job("job_1").id == "job_1"


def test_retries_end_and_the_last_refusal_is_told(service: SmallService, client: Client) -> None:
    service.on("GET /v1/jobs/job_1", problem(429, "RATE_LIMITED"))
    with pytest.raises(RateLimitedProblem):
        client.job("job_1")
    assert len(service.asked) == QUICK.attempts


def test_a_server_that_never_answered_is_given_up_sooner_than_one_that_did(service: SmallService) -> None:
    with Client(service.url, retry=Retry(attempts=5, first_contact=2, first=0.001)) as client:
        service.on("GET /v1/jobs/job_1", Reply(cut=-1))
        with pytest.raises(Unreachable):
            client.job("job_1")
        assert len(service.asked) == 2
        service.on("GET /v1/jobs/job_1", answer(wire.job()), Reply(cut=-1))
        client.job("job_1")
        with pytest.raises(Unreachable):
            client.job("job_1")
        assert len(service.asked) == 2 + 1 + 5


def test_a_cancel_that_may_have_arrived_is_not_sent_twice(service: SmallService, client: Client) -> None:
    service.on("POST /v1/jobs/job_1/cancel", Reply(cut=-1), answer(wire.job("cancelling"), 202))
    with pytest.raises(Unreachable):
        client.cancel("job_1")
    assert len(service.asked) == 1


def test_a_cancel_that_was_turned_away_unread_is_sent_again(service: SmallService, client: Client) -> None:
    service.on("POST /v1/jobs/job_1/cancel", problem(429, "RATE_LIMITED"), answer(wire.job("cancelling"), 202))
    assert client.cancel("job_1").state == "cancelling"


SET = {"mode": "class_set", "modules": [f"mod_{n}" + "0" * 25 for n in "12"], "dataset": "demo:d"}
OVERLOADED = Reply(problem(503, "OVERLOADED").body, 503, problem(503, "OVERLOADED").headers | {"Retry-After": "0"})


@pytest.mark.parametrize(
    ("call", "ask"),
    [
        ("GET /v1/jobs/job_1", lambda client: client.job("job_1")),
        (JOBS, lambda client: client.submit(wire.SPEC)),
        ("POST /v1/jobs/job_1/cancel", lambda client: client.cancel("job_1")),
        ("POST /v1/jobs/job_1/retry", lambda client: client.retry("job_1")),
        ("POST /v1/modules:combine", lambda client: client.combine(SET)),
        ("POST /v1/modules/mod_1/artifacts", lambda client: client.order_layout("mod_1", "onnx")),
        ("DELETE /v1/jobs/job_1", lambda client: client.delete("job_1")),
    ],
)
def test_whatever_an_overloaded_server_has_not_begun_is_asked_again_and_not_for_ever(
    service: SmallService, client: Client, call: str, ask: Callable[[Client], object]
) -> None:
    service.on(call, OVERLOADED, OVERLOADED, answer(wire.job("cancelling"), 202))
    ask(client)
    assert len(service.calls(call)) == 3
    service.on(call, OVERLOADED)
    with pytest.raises(ServerProblem) as caught:
        ask(client)
    assert caught.value.code == "OVERLOADED"
    assert len(service.calls(call)) == 3 + QUICK.attempts


def test_another_503_may_have_been_acted_upon_so_that_only_the_repeatable_is_sent_again(
    service: SmallService, client: Client
) -> None:
    away = problem(503, "SERVICE_UNAVAILABLE")
    service.on("POST /v1/jobs/job_1/cancel", away, answer(wire.job("cancelling"), 202))
    with pytest.raises(ServerProblem):
        client.cancel("job_1")
    service.on(JOBS, away, answer(wire.job(), 202))
    assert client.submit(wire.SPEC).id == "job_1"


def test_a_delete_whose_answer_was_lost_is_sent_again_and_finds_it_gone(service: SmallService, client: Client) -> None:
    service.on("DELETE /v1/jobs/job_1", Reply(cut=-1), problem(404, "NOT_FOUND"))
    client.delete("job_1")
    with pytest.raises(NotFoundProblem):
        client.delete("job_1")


def test_clients_that_were_turned_away_together_do_not_come_back_together() -> None:
    busy = httpx.Response(503, headers={"Retry-After": "2"})
    pauses = {Retry().pause(1, busy) for _ in range(50)}
    assert len(pauses) > 40
    assert 2 <= min(pauses) < max(pauses) <= 3
    assert (
        max(Retry().pause(failures, httpx.Response(503, headers={"Retry-After": "9" * 400})) for failures in (1, 8))
        == 15
    )
    assert all(0 < Retry().pause(failures) <= 15 for failures in range(1, 9))


def test_a_server_asks_for_patience_within_bounds(service: SmallService) -> None:
    busy = Reply(b"", 503, {"Retry-After": "3600"})
    service.on("GET /v1/jobs/job_1", busy, answer(wire.job()))
    with Client(service.url, retry=QUICK) as client:
        client.job("job_1")


def test_a_refusal_says_what_is_wrong_where_and_what_to_do(service: SmallService, client: Client) -> None:
    faults = [{"pointer": "/concerns/0", "detail": "Known: act, animal."}]
    refusal = problem(422, "UNKNOWN_LABELS", "No such label.", errors=faults, hint="Pick one.", request_id="req_9")
    service.on(JOBS, refusal)
    with pytest.raises(InvalidInputProblem) as caught:
        client.submit(wire.SPEC)
    error = caught.value
    assert (error.code, error.status, error.hint, error.request_id) == ("UNKNOWN_LABELS", 422, "Pick one.", "req_9")
    assert error.errors[0].pointer == "/concerns/0"
    for part in ("No such label.", "/concerns/0: Known: act, animal.", "Hint: Pick one.", "req_9"):
        assert part in str(error)


def test_a_fault_that_the_detail_has_told_is_only_pointed_to(service: SmallService, client: Client) -> None:
    service.on(JOBS, problem(422, "X", "No cat.", errors=[{"pointer": "/concerns/0", "detail": "No cat."}]))
    with pytest.raises(ProblemError) as caught:
        client.submit(wire.SPEC)
    assert str(caught.value).count("No cat.") == 1
    assert "at /concerns/0" in str(caught.value)


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundProblem), (500, ServerProblem), (418, ProblemError)])
def test_a_status_has_its_exception(
    service: SmallService, client: Client, status: int, kind: type[ProblemError]
) -> None:
    service.on("GET /v1/jobs/job_1", problem(status, "X"))
    with pytest.raises(kind) as caught:
        client.job("job_1")
    assert type(caught.value) is kind


def test_without_a_key_the_refusal_tells_how_to_give_one(service: SmallService, client: Client) -> None:
    service.on("GET /v1/jobs/job_1", problem(401, "UNAUTHENTICATED"))
    with pytest.raises(UnauthenticatedProblem, match="MICROLITH_API_KEY"):
        client.job("job_1")


@pytest.mark.parametrize(
    "foreign",
    [
        Reply(b"<html>Welcome to nginx</html>"),
        Reply(b"not here", 404),
        answer({"id": "job_1"}),
        Reply(b"", 301, {"Location": "https://elsewhere.invalid/"}),
    ],
)
def test_another_service_at_the_address_is_recognised(service: SmallService, client: Client, foreign: Reply) -> None:
    service.on("POST /v1/jobs/job_1/retry", foreign)
    with pytest.raises(UnexpectedAnswer, match="Is the URL right"):
        client.retry("job_1")


def test_nobody_there_is_said_with_what_to_do() -> None:
    with Client("http://127.0.0.1:1", retry=QUICK) as client, pytest.raises(Unreachable, match="make serve"):
        client.job("job_1")


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    service.on("GET /v1/jobs/job_1", answer(wire.job()))
    with Client(service.url, retry=QUICK) as client:
        assert client.job("job_1").id == "job_1"


def test_a_url_without_a_scheme_and_the_environments_url_work(
    service: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROLITH_URL", service.url.removeprefix("http://"))
    monkeypatch.setenv("MICROLITH_API_KEY", "from-the-environment")
    service.on("GET /v1/jobs/job_1", answer(wire.job()))
    with Client() as client:
        client.job("job_1")
    assert service.asked[0].headers["authorization"] == "Bearer from-the-environment"


def test_a_list_is_read_page_by_page_and_only_as_far_as_wanted(service: SmallService, client: Client) -> None:
    pages = [{"data": [wire.job(id=f"job_{n}")], "next_cursor": f"c{n}" if n < 3 else None} for n in (1, 2, 3)]
    service.on("GET /v1/jobs", *(answer(page) for page in pages))
    assert next(client.jobs()).id == "job_1"
    assert len(service.asked) == 1
    service.on("GET /v1/jobs", *(answer(page) for page in pages))
    assert [job.id for job in client.jobs()] == ["job_1", "job_2", "job_3"]
    assert [asked.query.get("cursor") for asked in service.asked[1:]] == [None, "c1", "c2"]


def test_filters_become_the_contracts_parameters(service: SmallService, client: Client) -> None:
    service.on("GET /v1/jobs", answer({"data": [], "next_cursor": None}))
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    assert list(client.jobs(state="failed", labels={"team": "a b"}, created_after=moment, page=7)) == []
    sent = service.asked[0].query
    assert (sent["state"], sent["label.team"], sent["limit"]) == ("failed", "a b", "7")
    assert datetime.fromisoformat(sent["created_after"]) == moment


def test_a_reference_with_slashes_is_one_part_of_the_path(service: SmallService, client: Client) -> None:
    with pytest.raises(NotFoundProblem):
        client.model("path:../secret/model")
    assert service.asked[0].path == "/v1/models/path:..%2Fsecret%2Fmodel"


def test_waiting_for_a_job_that_fails_raises_with_its_error(service: SmallService, client: Client) -> None:
    error = {"code": "OUT_OF_MEMORY", "message": "It did not fit.", "hint": "Lower per_concern."}
    service.on("GET /v1/jobs/job_1", answer(wire.job("running"), ETag='"1"'), answer(wire.job("failed", error=error)))
    with pytest.raises(JobFailed, match=r"OUT_OF_MEMORY: It did not fit\.\nHint: Lower per_concern\."):
        client.wait("job_1")
    assert client.wait("job_1", check=False).state == "failed"


def test_watching_asks_for_changes_and_skips_what_has_not_changed(service: SmallService, client: Client) -> None:
    running = answer(wire.job("running"), ETag='"1"')
    service.on("GET /v1/jobs/job_1", running, Reply(status=304), answer(wire.job("succeeded")))
    assert [job.state for job in client.watch("job_1")] == ["running", "succeeded"]
    assert service.asked[1].headers["if-none-match"] == '"1"'
    assert service.asked[1].headers["prefer"].startswith("wait=")


def test_a_plan_is_asked_for_without_submitting(service: SmallService, client: Client) -> None:
    plan = {"spec": wire.SPEC, "resolved": {}, "modules": [], "estimate": {"seconds": 1.5, "bytes": None}}
    service.on(JOBS, answer(plan))
    assert client.plan(wire.SPEC).estimate.seconds == 1.5
    assert service.asked[0].query == {"validate_only": "true"}
    assert json.loads(service.asked[0].body) == wire.SPEC


def test_importing_microlith_loads_neither_httpx_nor_pydantic() -> None:
    code = "import microlith, sys; print({'httpx', 'pydantic', 'rich', 'typer'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def test_microlith_offers_the_client_and_the_spec() -> None:
    assert microlith.Client is Client
    assert microlith.JobSpec is JobSpec
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = microlith.Nonsense  # type: ignore[attr-defined]
