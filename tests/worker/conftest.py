"""The whole way of a job in this process: through the API, a worker's attempt, and the artifact opened again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.services.backend import Backend
from microlith.contract import Combination, Job, Module, Results
from tests.emptied import empty_backend, settings_in
from tests.work import run
from worker.attempt.workspace import workroom
from worker.packaging.verify import Verifier


@dataclass(frozen=True)
class Product:
    """Jobs asked for over HTTP and run here, so that none waits for a fresh process to import torch."""

    api: TestClient
    backend: Backend
    folder: Path

    def decompose(self, spec: dict[str, Any]) -> tuple[Job, list[Module]]:
        """The finished job and its modules; a job that does not succeed fails the test with its error.

        One that was run for the same spec is the answer, unless `reuse` is false.
        """
        answer = self.api.post("/v1/jobs", json=spec)
        assert answer.status_code in (200, 202), answer.text
        url = answer.json()["urls"]["self"]
        run(self.backend, answer.json()["id"])
        job = Job.model_validate(self.api.get(url).json())
        assert job.state == "succeeded", job.error
        page = self.api.get(f"{url}/modules?limit=100").json()
        return job, [Module.model_validate(module) for module in page["data"]]

    def combine(self, modules: list[Module], mode: str, dataset: str, **more: Any) -> tuple[Job, Combination]:
        """The finished job that makes one classifier of the modules, and what came of it."""
        body = {"mode": mode, "modules": [module.id for module in modules], "dataset": dataset}
        answer = self.api.post("/v1/modules:combine", json=body | {"evaluation": {"limit": 200}} | more)
        assert answer.status_code == 202, answer.text
        run(self.backend, answer.json()["id"])
        job = Job.model_validate(self.api.get(answer.headers["Location"]).json())
        assert job.state == "succeeded", job.error
        combination = self.results(job).combination
        assert combination is not None
        return job, combination

    def results(self, job: Job) -> Results:
        return Results.model_validate(self.api.get(job.urls.results).json())

    def unpack(self, module: Module, layout: str = "portable") -> Path:
        """The module's folder in a layout."""
        return self._folder(module, layout)

    def unpacked(self, job: Job, layout: str | None = None) -> Path:
        """A combination's folder in a layout, or the only one there is."""
        return self._folder(job, layout or job.artifacts[0].layout)

    def _folder(self, of: Module | Job, layout: str) -> Path:
        target = self.folder / f"{of.id}-{layout}"
        artifact = next(artifact for artifact in of.artifacts if artifact.layout == layout)
        content = self.api.get(artifact.urls.content).content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(target)
        return target


@pytest.fixture
def warm_verifier(tmp_path: Path, postgres: str, broker: str) -> Iterator[Verifier]:
    """The real clean process, which serves every test."""
    with workroom(settings_in(tmp_path, postgres, broker)) as (_, verifier):
        yield verifier


@pytest.fixture
def product(api: TestClient, backend: Backend, tmp_path: Path) -> Product:
    return Product(api, backend, tmp_path / "modules")


@pytest.fixture(scope="module")
def kept_product(postgres: str, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for all tests of a file, so that what one of them has made need not be made again for the next.

    For files whose tests take nothing away from each other, and use neither `product` nor `backend`.
    """
    folder = tmp_path_factory.mktemp("kept")
    settings = settings_in(folder, postgres, broker)
    with (
        empty_backend(settings) as backend,
        TestClient(create_app(settings), base_url="http://127.0.0.1") as api,
    ):
        yield Product(api, backend, folder / "modules")
