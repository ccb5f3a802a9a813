"""Many requests at once, and requests that would cost much: nobody else waits, and nothing is held while one waits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.pool import took_too_long
from app.db.unit import Database
from app.main import create_app
from app.services.backend import STATEMENT_SECONDS, Backend
from app.settings import Settings
from microlith.contract import Concern
from tests.work import claim, finish, module_facts, publisher_of, report, submit
from worker.packaging.archive import archive

URL = "http://127.0.0.1"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Backend]]:
    """A client of the service in this event loop, and what the service holds."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client, app.state.backend


@pytest.fixture
def module(backend: Backend, tmp_path: Path) -> str:
    """The id of a finished job's module, which can be tried."""
    lease, mask = claim(backend, submit(backend, concerns=["act"])), tmp_path / "mask"
    mask.mkdir()
    (mask / "mask.safetensors").write_bytes(b"mask")
    package = archive(mask, tmp_path / "mask.zip", "mask")
    facts = module_facts(0, 0.5, report(0.9, 0.8, 0.7))
    publisher_of(backend, lease).publish_module(Concern(id=0, label="act"), 0.5, facts, [package])
    finish(backend, lease)
    with backend.database.unit() as unit:
        return unit.modules.of_job(lease.job_id)[0].id


def test_three_hundred_equal_and_mixed_requests_at_once_are_all_answered_by_a_single_connection(
    backend: Backend, settings: Settings, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a connection held while anything else is waited for, one would not do for so many."""
    job = submit(backend)
    paths = [f"/v1/jobs/{job}", f"/v1/jobs/{job}/modules", f"/v1/jobs/{job}/results", f"/v1/modules/{module}", "/"]
    paths += ["/v1/jobs", "/v1/models", "/v1/uploads", f"/jobs/{job}", f"/modules/{module}"]

    def with_one(url: str, *, statement_seconds: float | None = None, **_: int) -> Database:
        """For requests; what sweeps has others."""
        return Database(url) if statement_seconds is None else Database(url, pool_size=1, overflow=0)

    monkeypatch.setattr("app.services.backend.Database", with_one)

    async def story() -> None:
        async with serving(settings) as (client, _):
            asked = [paths[n % len(paths)] for n in range(300)]
            for _ in range(20):  # who is refused asks again, as he is told
                answers = await asyncio.gather(*map(client.get, asked))
                assert {answer.status_code for answer in answers} <= {200, 503}
                assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 503)
                refused = [path for path, answer in zip(asked, answers, strict=True) if answer.status_code == 503]
                assert len(refused) < len(asked)
                asked = refused
                if not asked:
                    return
            raise AssertionError(f"{len(asked)} are never answered")

    asyncio.run(story())


def test_somebody_who_tries_a_module_holds_no_connection_while_the_answer_is_waited_for(
    backend: Backend, settings: Settings, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.routes.tries.WAIT_SECONDS", 60)
    pages = {"Accept": "text/html"}

    async def story() -> None:
        async with serving(settings) as (client, held):
            tries = [
                asyncio.create_task(client.post(f"/modules/{module}/try", data={"text": f"a dog {n}"}, headers=pages))
                for n in range(40)
            ]
            await _until(lambda: len(held.feed.bells) == 40)
            await _until(lambda: held.database.engine.pool.checkedout() == 0)
            assert (await client.get(f"/v1/modules/{module}")).status_code == 200
            assert not any(task.done() for task in tries)
            for task in tries:
                task.cancel()

    asyncio.run(story())


def test_what_is_at_hand_is_answered_while_every_thread_is_busy(settings: Settings, backend: Backend) -> None:
    async def story() -> None:
        gate = threading.Event()
        async with serving(settings) as (client, held):
            busy = [asyncio.create_task(lane.run("busy", gate.wait)) for lane in held.lanes for _ in range(50)]
            await asyncio.sleep(0)
            began = time.monotonic()
            for path in ("/healthz", "/v1/methods"):
                assert (await client.get(path)).status_code == 200
            assert time.monotonic() - began < 1
            gate.set()
            await asyncio.gather(*busy)

    asyncio.run(story())


def test_overload_is_an_answer_with_a_code_and_a_time_to_ask_again(
    settings: Settings, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> httpx.Response:
        async with serving(settings) as (client, held):
            monkeypatch.setattr(held.lanes.writes, "patience", -1.0)
            return await client.post("/v1/jobs/job_1/cancel")

    answer = asyncio.run(story())
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "OVERLOADED", "1")


def test_there_are_as_many_connections_as_threads(backend: Backend) -> None:
    served = backend.for_requests()
    assert served.database.engine.pool.size() == sum(lane.threads for lane in served.lanes)  # type: ignore[attr-defined]
    served.database.close()


def test_a_statement_that_takes_the_database_too_long_is_ended(backend: Backend) -> None:
    served = backend.for_requests()
    with served.database.glance() as unit:
        assert unit.session.scalar(text("SHOW statement_timeout")) == f"{STATEMENT_SECONDS:g}s"
        unit.session.execute(text("SET statement_timeout = '10ms'"))
        with pytest.raises(Exception, match="statement timeout") as ended:
            unit.session.execute(text("SELECT pg_sleep(5)"))
    assert took_too_long(ended.value)
    served.database.close()


@pytest.mark.parametrize("path", ["/v1/jobs", "/"])
def test_a_list_is_narrowed_by_as_many_labels_as_a_job_has_and_quickly(
    api: TestClient, backend: Backend, path: str
) -> None:
    marks = {f"k{n}": "v" for n in range(32)}
    job = submit(backend, labels=marks)
    submit(backend, labels=marks | {"k31": "other"})
    most = "&".join(f"label.k{n}=v" for n in range(32))
    began = time.monotonic()
    assert [found["id"] for found in api.get(f"/v1/jobs?{most}").json()["data"]] == [job]
    assert time.monotonic() - began < 5, "three hundred took eleven seconds"
    refused = api.get(f"{path}?{most}&label.k32=v" if path != "/" else f"/?label={'k' * 600}%3Dv")
    assert refused.status_code == 422
    assert refused.headers["content-type"].startswith("application/problem+json")


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)
