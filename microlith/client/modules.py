"""Calls about modules and their files: look, bring home, order more, combine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microlith.client.answers import path_of, read
from microlith.client.archive import fetch_archive, fetch_module
from microlith.client.download import OnBytes, fetch, file_for, layout_of, module_name
from microlith.client.jobs import LONGEST_WAIT, JobCalls
from microlith.contract import Artifact, CombineSpec, Job, Module, Prediction
from microlith.errors import JobFailed


class ModuleCalls(JobCalls):
    """Calls about modules and their files, beside those about the jobs that make and ask them."""

    async def modules(self, job_id: str) -> list[Module]:
        """The job's modules so far."""
        return [module async for module in self._pages(Module, path_of("jobs", job_id, "modules"), {})]

    async def module(self, module_id: str) -> Module:
        """A module by its id."""
        return await self._get(Module, path_of("modules", module_id))

    async def predict(self, module: Module | str, texts: Sequence[str]) -> Prediction:
        """What a module, and its base, make of texts. Raises JobFailed when the job that asks them does."""
        path = path_of("modules", module if isinstance(module, str) else module.id, "predictions")
        headers, timeout = {"Prefer": f"wait={LONGEST_WAIT}"}, self._server.timeout + LONGEST_WAIT
        answer = await self._server.send("POST", path, json={"inputs": [*texts]}, headers=headers, timeout=timeout)
        job = read(Job, answer)
        job = job if job.finished else await self.wait(job.id, check=False)
        if job.prediction is None:
            raise JobFailed(job)
        return job.prediction

    async def order_layout(self, module_id: str, layout: str, *, int8: bool = False) -> Job:
        """Have one more layout of a module made; the job that does it, or has done it. Wait for it, then download.

        In the place of the module's id, that of a job that has made a class set stands for the class set.
        """
        body = {"layout": layout, "onnx": {"int8": int8}}
        path = path_of("modules", module_id, "artifacts")
        return read(Job, await self._server.send("POST", path, json=body, repeatable=True))

    async def combine(self, spec: CombineSpec | Mapping[str, Any]) -> Job:
        """Have one classifier made of several modules; wait for the job, then download its `artifacts`."""
        checked = spec if isinstance(spec, CombineSpec) else CombineSpec.model_validate(spec)
        body = checked.model_dump(mode="json")
        return read(Job, await self._server.send("POST", "/v1/modules:combine", json=body))

    async def artifact(self, artifact_id: str) -> Artifact:
        """A stored file's size, digest and contents."""
        return await self._get(Artifact, path_of("artifacts", artifact_id))

    async def download(self, artifact: Artifact | str, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """Fetch a stored file into a folder (which must exist, or be written with a final `/`) or to a file name.

        The bytes go to `NAME.part`, which a later call takes up where it broke, and become NAME once their sha256 is
        the artifact's; otherwise DigestMismatch is raised and nothing is left. `on_bytes(done, total)` hears how far
        it is.
        """
        facts = await self.artifact(artifact) if isinstance(artifact, str) else artifact
        return await fetch(self._server, facts, file_for(facts, to), on_bytes)

    async def download_module(
        self,
        module: Module | str,
        folder: str | Path,
        layout: str = "portable",
        *,
        unpack: bool = True,
        on_bytes: OnBytes | None = None,
    ) -> Path:
        """Fetch a module into a folder of its own inside `folder`, named by concern and ratio, every digest checked.

        With `unpack=False` it stays the archive it travels as. What is already there, whole, is not fetched again.
        """
        facts = await self.module(module) if isinstance(module, str) else module
        target = Path(folder) / module_name(facts, layout)
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_to = fetch_module if unpack else fetch_archive
        return await fetch_to(self._server, layout_of(facts, layout), target, on_bytes)
