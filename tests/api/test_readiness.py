"""Readiness tells strangers three words at most, in time whatever is frozen, and works once for all who ask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from app.api import health
from app.main import create_app
from app.services import readiness
from app.services.backend import Backend
from app.services.readiness import SILENT, Readiness
from tests.faults.proxy import proxied

KEY = "a-key-of-some-length"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def guarded(backend: Backend) -> Iterator[TestClient]:
    settings = backend.settings.model_copy(update={"api_key": SecretStr(KEY), "broker_url": "redis://127.0.0.1:9/0"})
    with TestClient(create_app(settings), base_url="http://example.org") as api:
        yield api


def test_who_has_no_key_is_told_three_words_and_who_has_one_what_is_wrong(guarded: TestClient) -> None:
    answer = guarded.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready"})
    assert guarded.get("/readyz", headers={"Authorization": "Bearer wrong"}).json() == {"status": "not ready"}
    checks = guarded.get("/readyz", headers=BEARER).json()["checks"]
    assert checks["database"] == "ok"
    assert checks["broker"] != "ok"


def test_all_who_ask_within_a_second_share_one_look() -> None:
    looks: list[None] = []
    parts = Readiness({"part": lambda: looks.append(None)})

    async def crowd() -> None:
        await asyncio.gather(*(parts.look() for _ in range(300)))
        await parts.look()

    asyncio.run(crowd())
    assert len(looks) == 1


def test_a_part_that_hangs_is_a_fault_in_time_and_keeps_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    thaw, begun = threading.Event(), []

    def frozen() -> None:
        begun.append(None)
        thaw.wait(20)

    async def looks() -> list[dict[str, str]]:
        parts = Readiness({"database": frozen, "objects": lambda: None})
        silent = [await parts.look() for _ in range(5)]
        thaw.set()
        while (found := await parts.look())["database"] != "ok":
            await asyncio.sleep(0.01)
        return [*silent, found]

    *silent, found = asyncio.run(looks())
    assert silent == [{"database": SILENT, "objects": "ok"}] * 5
    assert found == {"database": "ok", "objects": "ok"}
    assert len(begun) <= 2


def test_a_database_behind_a_dead_line_is_told_within_two_seconds(backend: Backend) -> None:
    url = make_url(str(backend.settings.database_url))
    with proxied(url.port or 0) as line:
        through = url.set(port=line.port).render_as_string(hide_password=False)
        settings = backend.settings.model_copy(update={"database_url": through})
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
            assert api.get("/readyz").status_code == 200
            time.sleep(readiness.FRESH_SECONDS)
            line.set("dead")
            for _ in range(2):
                began = time.monotonic()
                answer = api.get("/readyz")
                assert time.monotonic() - began < 2
                assert answer.json()["checks"]["database"] == SILENT
            assert api.get("/healthz").status_code == 200
            line.set("open")


def test_metrics_are_written_down_once_a_second(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[None] = []
    monkeypatch.setattr(health, "generate_latest", lambda: written.append(None) or b"")
    for _ in range(20):
        assert api.get("/metrics").status_code == 200
    assert len(written) == 1
