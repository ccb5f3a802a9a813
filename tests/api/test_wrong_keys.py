"""Who tries keys is written down and waits; who has the right one does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from starlette.requests import Request
from structlog.testing import capture_logs

from app.api import wrong_keys
from app.api.wrong_keys import FREE, LONGEST_SECONDS, WrongKeys
from app.domain.errors import RateLimited
from app.main import create_app
from app.services.backend import Backend

KEY = "a-key-of-some-length"
WRONG = {"Authorization": "Bearer not-this-one-at-all"}
RIGHT = {"Authorization": f"Bearer {KEY}"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(wrong_keys.asyncio, "sleep", sleep)
    return waited


@pytest.fixture
def guarded(backend: Backend) -> Iterator[TestClient]:
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY)})
    with TestClient(create_app(settings), base_url="http://example.org") as api:
        yield api


def caller(address: str) -> Request:
    return Request({"type": "http", "path": "/v1/jobs", "client": (address, 1), "headers": []})


async def tried(keys: WrongKeys, times: int, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        await keys.answer_slowly(caller(address))


def test_a_wrong_key_is_written_down_with_its_address_and_without_itself(guarded: TestClient) -> None:
    with capture_logs() as lines:
        guarded.get("/v1/jobs", headers=WRONG)
        guarded.post("/sign-in", content="key=not-this-one-at-all", headers=FORM)
    found = [line for line in lines if line["event"] == "key_rejected"]
    assert [(line["address"], line["failures"], line["path"]) for line in found] == [
        ("testclient", 1, "/v1/jobs"),
        ("testclient", 2, "/sign-in"),
    ]
    assert "not-this-one" not in str(lines)


def test_wrong_keys_wait_longer_and_longer_but_never_long(guarded: TestClient, waits: list[float]) -> None:
    for _ in range(FREE + 12):
        assert guarded.get("/v1/jobs", headers=WRONG).status_code == 401
    assert len(waits) == 12
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_SECONDS


def test_the_sign_in_is_slowed_as_well(guarded: TestClient, waits: list[float]) -> None:
    for _ in range(FREE + 1):
        guarded.post("/sign-in", content="key=wrong", headers=FORM)
    assert len(waits) == 1


def test_the_right_key_never_waits_and_neither_does_another_address(guarded: TestClient, waits: list[float]) -> None:
    for _ in range(FREE + 1):
        guarded.get("/v1/jobs", headers=WRONG)
    assert guarded.get("/v1/jobs", headers=RIGHT).status_code == 200
    assert guarded.get("/v1/jobs").status_code == 401  # no key at all: a browser before its sign-in
    keys = WrongKeys()
    asyncio.run(tried(keys, FREE + 1))
    asyncio.run(tried(keys, FREE, "192.0.2.2"))
    assert len(waits) == 2


def test_only_so_many_wait_at_once_and_the_others_are_told_when_to_come_back() -> None:
    keys = WrongKeys()

    async def crowd() -> list[object]:
        await tried(keys, FREE)
        asked = (keys.answer_slowly(caller("192.0.2.1")) for _ in range(wrong_keys.WAITING_AT_ONCE + 5))
        return await asyncio.gather(*asked, return_exceptions=True)

    began = time.monotonic()
    told = asyncio.run(crowd())
    assert sum(isinstance(one, RateLimited) for one in told) == 5
    assert time.monotonic() - began < 10 * LONGEST_SECONDS


def test_too_many_wrong_keys_are_answered_with_a_time_to_come_back(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wrong_keys, "FREE", 0)
    monkeypatch.setattr(wrong_keys, "WAITING_AT_ONCE", 0)
    answer: httpx.Response = guarded.get("/v1/jobs", headers=WRONG)
    assert (answer.status_code, answer.json()["code"]) == (429, "RATE_LIMITED")
    assert int(answer.headers["retry-after"]) > 0
    assert guarded.get("/v1/jobs", headers=RIGHT).status_code == 200


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "ADDRESSES", 3)
    keys = WrongKeys()
    for number in range(10):
        asyncio.run(tried(keys, 1, f"192.0.2.{number}"))
    assert list(keys._records) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]
