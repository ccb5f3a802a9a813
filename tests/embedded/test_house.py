"""Which workers the embedded default brings along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from app.embedded.services import EmbeddedServices
from app.server import start_workers
from app.settings import Settings


class Told:
    """Services that only note what they are asked to start."""

    def __init__(self) -> None:
        self.workers: list[tuple[str, Settings]] = []
        self.environments: list[Mapping[str, str]] = []

    def start_worker(self, command: Sequence[str | Path], env: Mapping[str, str], *, name: str = "worker") -> None:
        self.environments.append(env)
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MICROLITH_API_KEY", raising=False)
            for variable, value in env.items():
                patch.setenv(variable, value)
            self.workers.append((name, Settings()))


def test_no_worker_is_told_the_key_or_anything_else_about_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROLITH_API_KEY", "k" * 16)
    told = Told()
    start_workers(cast(EmbeddedServices, told), Settings(host="0.0.0.0", token=SecretStr("t" * 16), port=8001))
    for environment in told.environments:
        assert not any(secret in value for secret in ("k" * 16, "t" * 16) for value in environment.values())
        assert not {"MICROLITH_API_KEY", "MICROLITH_TOKEN", "MICROLITH_HOST"} & environment.keys()


def started(**settings: Any) -> list[tuple[str, str, int]]:
    told = Told()
    start_workers(cast(EmbeddedServices, told), Settings(**settings))
    return [(name, seen.queues, seen.jobs_per_child) for name, seen in told.workers]


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.server.GPU_DRIVERS", ())


def test_what_is_light_has_a_worker_of_its_own_and_without_a_gpu_a_process_serves_many() -> None:
    assert started() == [("worker", "gpu", 100), ("light-worker", "light", 100)]


def test_one_worker_does_everything_where_memory_is_dear() -> None:
    assert started(light_worker=False) == [("worker", "gpu,light", 100)]


def test_where_there_may_be_a_gpu_its_memory_returns_with_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert started(device="cuda:1") == [("worker", "gpu", 1), ("light-worker", "light", 100)]
    monkeypatch.setattr("app.server.GPU_DRIVERS", ("/nowhere", str(tmp_path)))
    assert started(light_worker=False) == [("worker", "gpu,light", 1)]
    assert started(light_worker=False, device="cpu") == [("worker", "gpu,light", 100)]


def test_how_many_jobs_a_process_serves_is_the_users_to_say() -> None:
    assert started(jobs_per_child=3) == [("worker", "gpu", 3), ("light-worker", "light", 100)]
