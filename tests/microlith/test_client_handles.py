"""A job and its modules as things that act, plain and asynchronous."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import wire
from small_service import QUICK, Reply, SmallService, answer

from microlith import AsyncClient, Client
from microlith.client import AsyncJobHandle, AsyncModuleHandle, JobHandle, ModuleHandle, blocking
from microlith.client.calls import Calls
from microlith.client.options import SpecOptions
from microlith.contract import JobSpec, WandaMethod
from microlith.errors import JobFailed, MissingExtra, NoSuchModule

JOBS, JOB = "POST /v1/jobs", "GET /v1/jobs/job_1"
FILES = {"config.json": b"{}"}
PACKED = wire.archive(FILES)


@pytest.fixture
def done(service: SmallService) -> SmallService:
    """A service with a job that is over after one look: two modules of one concern, one of another."""
    other = wire.module("animal", 1) | {"id": "mod_9", "ratio": {"requested": 0.7, "achieved": 0.7}}
    found = [wire.module("animal", 1, (wire.artifact(PACKED, FILES),)), other, wire.module("plant", 2)]
    service.on(JOBS, answer(wire.job(), 202))
    service.on(JOB, answer(wire.job("running"), ETag='"1"'), answer(wire.job("succeeded")))
    service.on(f"{JOB}/modules", answer({"data": found, "next_cursor": None}))
    service.on(f"{JOB}/results", answer(wire.results(*found)))
    service.on("GET /v1/artifacts/art_1/content", Reply(PACKED))
    return service


def asynchronously(service: SmallService, story: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    """What the story comes to, told on an event loop."""

    async def tell() -> Any:
        async with AsyncClient(service.url, timeout=5, retry=QUICK) as client:
            return await story(client)

    return asyncio.run(tell())


def test_a_job_is_asked_for_waited_for_and_read_in_one_line(done: SmallService, client: Client) -> None:
    results = client.decompose("demo:m", "demo:d", ratio=[0.5, 0.7]).wait().results()
    assert [row["concern"] for row in results.rows()] == ["animal", "animal", "plant"]
    assert json.loads(done.calls(JOBS)[0].body) == {"model": "demo:m", "dataset": "demo:d", "ratio": [0.5, 0.7]}


def test_options_are_sent_as_they_were_given(done: SmallService, client: Client) -> None:
    client.decompose("demo:m", {"ref": "demo:d"}, method="wanda", concerns=("a", 3), sampling={"seed": 1})
    client.decompose("demo:m", "demo:d", method=WandaMethod(samples="all"))
    first, second = (json.loads(asked.body) for asked in done.calls(JOBS))
    assert first["dataset"] == {"ref": "demo:d"}
    assert first["method"] == {"name": "wanda"}
    assert (first["concerns"], first["sampling"]) == (["a", 3], {"seed": 1})
    assert second["method"] == {"name": "wanda", "samples": "all"}


def test_a_path_is_uploaded_first(done: SmallService, client: Client, tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text("text,label\na,b\n")
    complete = {"id": "upl_1", "kind": "dataset", "filename": "d.csv", "size_bytes": 15, "sha256": None}
    complete |= {"state": "complete", "created_at": wire.T, "completed_at": wire.T}
    done.on("POST /v1/uploads", answer(complete | {"urls": dict.fromkeys(("self", "content", "complete"), "/")}))
    done.on("POST /v1/datasets", answer(wire.dataset() | {"id": "dst_1"}))
    client.decompose("demo:m", data)
    assert json.loads(done.calls(JOBS)[0].body)["dataset"] == "dst_1"


def test_every_option_of_a_spec_can_be_given() -> None:
    assert set(SpecOptions.__annotations__) == set(JobSpec.model_fields) - {"model", "dataset"}


def test_a_job_asked_for_before_is_attached_to(done: SmallService, client: Client) -> None:
    job = client.attach("job_1")
    assert (job.id, job.state) == ("job_1", "running")
    assert job.refresh().state == "succeeded"


def test_waiting_for_a_handle_that_fails_raises_unless_told_not_to(service: SmallService, client: Client) -> None:
    service.on(JOB, answer(wire.job("failed")))
    with pytest.raises(JobFailed):
        client.attach("job_1").wait()
    assert client.attach("job_1").wait(check=False).state == "failed"


def test_waiting_with_progress_tells_each_change(
    done: SmallService, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    client.decompose("demo:m", "demo:d").wait(progress=True)
    assert capsys.readouterr().err.splitlines() == ["running: 0 %, 0/2 concerns", "succeeded: 100 %, 2/2 concerns"]


def test_modules_are_found_by_label_and_ratio_and_number(done: SmallService, client: Client) -> None:
    modules = client.attach("job_1").modules
    assert [module.label for module in modules] == ["animal", "animal", "plant"]
    assert (modules["plant"].id, modules["animal", 0.7].id, modules[0].id) == ("mod_2", "mod_9", "mod_1")


@pytest.mark.parametrize(
    ("key", "said"), [("fish", "Modules: animal, plant"), ("animal", "known are 0.5, 0.7"), (("plant", 0.7), "0.7")]
)
def test_what_is_no_module_is_answered_with_those_there_are(
    done: SmallService, client: Client, key: str | tuple[str, float], said: str
) -> None:
    with pytest.raises(NoSuchModule, match=said):
        client.attach("job_1").modules[key]


def test_a_module_is_downloaded_by_its_handle(done: SmallService, client: Client, tmp_path: Path) -> None:
    assert client.attach("job_1").modules["animal", 0.5].download(tmp_path) == tmp_path / "animal-0.5"


def test_a_module_is_loaded_by_transformers_from_a_cache(
    done: SmallService, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("microlith.masks.models.open_model", lambda folder: folder)
    module = client.attach("job_1").modules["animal", 0.5]
    assert module.load() == module.load() == tmp_path / "microlith/modules" / wire.digest(PACKED) / "animal-0.5"
    assert len(done.calls("GET /v1/artifacts/art_1/content")) == 1


def test_loading_without_torch_tells_what_to_install(
    done: SmallService, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "microlith.masks.models", raising=False)
    with pytest.raises(MissingExtra, match=r'torch: pip install "microlith\[masks\]"'):
        client.attach("job_1").modules["animal", 0.5].load(tmp_path)


def test_a_module_is_asked_about_one_text_or_several(done: SmallService, client: Client) -> None:
    done.on("POST /v1/modules/mod_2/predictions", answer(wire.job("succeeded", prediction=wire.prediction("a", "b"))))
    module = client.attach("job_1").modules["plant"]
    assert module.predict("a").inputs[0].module.label == "plant"
    assert [asked.text for asked in module.predict(["a", "b"]).inputs] == ["a", "b"]
    sent = [json.loads(asked.body) for asked in done.calls("POST /v1/modules/mod_2/predictions")]
    assert sent == [{"inputs": ["a"]}, {"inputs": ["a", "b"]}]
    module.predict([("a", "b")])
    pair = done.calls("POST /v1/modules/mod_2/predictions")[-1]
    assert json.loads(pair.body) == {"inputs": [{"text": "a", "text_pair": "b"}]}


def test_results_become_a_data_frame_with_a_row_a_module(done: SmallService, client: Client) -> None:
    frame = client.results("job_1").to_pandas()
    assert list(frame["concern"]) == ["animal", "animal", "plant"]
    assert frame.loc[0, "f1_change"] == pytest.approx(2 / 3 - 0.5)


def test_the_asynchronous_client_tells_the_same_story(done: SmallService, tmp_path: Path) -> None:
    async def story(client: AsyncClient) -> tuple[str, Path, int]:
        job = await (await client.decompose("demo:m", "demo:d")).wait()
        modules = await job.modules()
        folder = await modules["animal", 0.5].download(tmp_path)
        return job.facts.state, folder, len((await job.results()).rows())

    assert asynchronously(done, story) == ("succeeded", tmp_path / "animal-0.5", 3)


def test_asynchronous_calls_wait_beside_one_another(service: SmallService) -> None:
    service.on(JOB, Reply(cut=-1), answer(wire.job("succeeded")))
    service.on("GET /v1/jobs/job_2", answer(wire.job("succeeded", id="job_2")))

    async def both(client: AsyncClient) -> list[str]:
        return [job.id for job in await asyncio.gather(client.wait("job_1"), client.wait("job_2"))]

    assert asynchronously(service, both) == ["job_1", "job_2"]


def test_asynchronous_events_and_lists_are_read_one_by_one(service: SmallService) -> None:
    service.on("GET /v1/jobs", answer({"data": [wire.job()], "next_cursor": None}))
    stream = wire.stream(wire.event(1, "job.queued"), wire.event(2, "job.succeeded"))
    service.on(f"{JOB}/events", Reply(stream, headers={"Content-Type": "text/event-stream"}))
    service.on(JOB, answer(wire.job("succeeded")))

    async def read(client: AsyncClient) -> list[Any]:
        (job,) = [job async for job in client.jobs()]
        return [event.seq async for event in client.events(job.id)]

    assert asynchronously(service, read) == [1, 2]


def test_the_plain_client_works_inside_of_a_running_event_loop(done: SmallService, client: Client) -> None:
    async def cell() -> str:
        return client.decompose("demo:m", "demo:d").wait().state

    assert asyncio.run(cell()) == "succeeded"


def test_a_list_that_is_left_early_is_closed(service: SmallService, client: Client) -> None:
    service.on("GET /v1/jobs", answer({"data": [wire.job(), wire.job()], "next_cursor": "more"}))
    found = client.jobs()
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert list(found) == []
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("plain", "asynchronous"),
    [(Client, AsyncClient), (JobHandle, AsyncJobHandle), (ModuleHandle, AsyncModuleHandle)],
)
def test_the_plain_face_has_every_call(plain: type, asynchronous: type) -> None:
    own = {name for name in dir(asynchronous) if not name.startswith("_")} - set(vars(Calls))
    assert own <= set(dir(plain))
    for name in own & set(vars(plain)):
        if inspect.iscoroutinefunction(getattr(asynchronous, name)) and name != "modules":
            assert inspect.signature(getattr(plain, name)) == inspect.signature(getattr(asynchronous, name))
            assert getattr(plain, name).__doc__


def test_a_blocking_call_that_would_need_an_event_loop_says_so() -> None:
    class Suspends:
        def __await__(self) -> Any:
            yield

    with pytest.raises(RuntimeError, match="event loop"):
        blocking.run(Suspends())
