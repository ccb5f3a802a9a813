"""A job's events over connections that break."""

from __future__ import annotations

import pytest
import wire
from small_service import QUICK, Reply, SmallService, answer

from microlith.client import Client
from microlith.errors import NotFoundProblem, UnexpectedAnswer, Unreachable

EVENTS, JOB = "GET /v1/jobs/job_1/events", "GET /v1/jobs/job_1"
QUEUED, RUNNING, READY, DONE = (
    wire.event(number, kind)
    for number, kind in enumerate(("job.queued", "job.running", "module.ready", "job.succeeded"), start=1)
)


def streamed(body: bytes, cut: int | None = None) -> Reply:
    return Reply(body, headers={"Content-Type": "text/event-stream"}, cut=cut)


def test_a_stream_is_followed_to_its_terminal_event(service: SmallService, client: Client) -> None:
    service.on(EVENTS, streamed(b": hello\n\n" + wire.stream(QUEUED, RUNNING, DONE)))
    service.on(JOB, answer(wire.job("succeeded")))
    assert [event.type for event in client.events("job_1")] == ["job.queued", "job.running", "job.succeeded"]
    assert service.asked[0].headers["accept"] == "text/event-stream"
    assert "last-event-id" not in service.asked[0].headers


def test_a_cut_stream_is_taken_up_after_the_last_whole_event(service: SmallService, client: Client) -> None:
    first = wire.stream(QUEUED, RUNNING)
    service.on(EVENTS, streamed(first + b"x" * 50, cut=len(first) - 9), streamed(wire.stream(RUNNING, READY, DONE)))
    service.on(JOB, answer(wire.job("succeeded")))
    assert [event.seq for event in client.events("job_1")] == [1, 2, 3, 4]
    assert [asked.headers.get("last-event-id") for asked in service.calls(EVENTS)] == [None, "1"]


def test_a_connection_refused_in_between_is_survived(service: SmallService, client: Client) -> None:
    service.on(EVENTS, streamed(wire.stream(QUEUED)), Reply(cut=-1), streamed(wire.stream(RUNNING, DONE)))
    service.on(JOB, answer(wire.job("running")), answer(wire.job("succeeded")))
    assert [event.seq for event in client.events("job_1")] == [1, 2, 4]


def test_events_the_server_repeats_come_once(service: SmallService, client: Client) -> None:
    service.on(EVENTS, streamed(wire.stream(QUEUED, RUNNING)), streamed(wire.stream(QUEUED, RUNNING, DONE)))
    service.on(JOB, answer(wire.job("running")), answer(wire.job("succeeded")))
    assert [event.seq for event in client.events("job_1")] == [1, 2, 4]


def test_the_failure_of_an_attempt_before_a_retry_does_not_end_the_history(
    service: SmallService, client: Client
) -> None:
    failed, again, done = wire.event(2, "job.failed"), wire.event(3, "job.queued"), wire.event(4, "job.succeeded")
    service.on(EVENTS, streamed(wire.stream(QUEUED, failed, again, done)))
    service.on(JOB, answer(wire.job("running")), answer(wire.job("succeeded")))
    assert [event.seq for event in client.events("job_1")] == [1, 2, 3, 4]


def test_nothing_new_of_a_job_that_is_over_ends_at_once(service: SmallService, client: Client) -> None:
    service.on(EVENTS, streamed(b""))
    service.on(JOB, answer(wire.job("succeeded")))
    assert list(client.events("job_1", after=4)) == []


@pytest.mark.parametrize("dead", [streamed(b": nothing\n\n"), streamed(b": cut short\n\n", cut=3)])
def test_connections_that_never_bring_news_are_given_up(service: SmallService, client: Client, dead: Reply) -> None:
    service.on(EVENTS, dead)
    service.on(JOB, answer(wire.job("running")))
    with pytest.raises(Unreachable):
        list(client.events("job_1"))
    assert len(service.calls(EVENTS)) == QUICK.attempts


def test_an_unknown_job_is_a_refusal(client: Client) -> None:
    with pytest.raises(NotFoundProblem):
        next(client.events("job_1"))


def test_what_is_no_event_stream_is_not_read_as_one(service: SmallService, client: Client) -> None:
    service.on(EVENTS, answer({"data": []}))
    with pytest.raises(UnexpectedAnswer, match="no event stream"):
        next(client.events("job_1"))


def test_waiting_tells_every_event_and_answers_the_finished_job(service: SmallService, client: Client) -> None:
    service.on(EVENTS, streamed(wire.stream(QUEUED, RUNNING, DONE)))
    service.on(JOB, answer(wire.job("succeeded")))
    heard: list[str] = []
    assert client.wait("job_1", on_event=lambda event: heard.append(event.type)).state == "succeeded"
    assert heard == ["job.queued", "job.running", "job.succeeded"]
