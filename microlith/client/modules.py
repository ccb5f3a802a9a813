"""Calls about modules and their files: look at them, download them, order more layouts, combine them."""

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

_PAIR = ("text", "text_pair")


class ModuleCalls(JobCalls):
    """Calls about modules and their files, beside those about the jobs that make and ask them."""

    async def modules(self, job_id: str) -> list[Module]:
        """Yield the job's modules so far."""
        return [module async for module in self._pages(Module, path_of("jobs", job_id, "modules"), {})]

    async def module(self, module_id: str) -> Module:
        """Return a module by its id."""
        return await self._get(Module, path_of("modules", module_id))

    async def predict(self, module: Module | str, texts: Sequence[str | tuple[str, str]]) -> Prediction:
        """Return the answers of a module and its base to texts, or to pairs of texts if the module reads pairs. Raises
        JobFailed if the job that computes them fails.
        """
        path = path_of("modules", module if isinstance(module, str) else module.id, "predictions")
        inputs = [text if isinstance(text, str) else dict(zip(_PAIR, text, strict=True)) for text in texts]
        headers, timeout = {"Prefer": f"wait={LONGEST_WAIT}"}, self._server.timeout + LONGEST_WAIT
        answer = await self._server.send("POST", path, json={"inputs": inputs}, headers=headers, timeout=timeout)
        job = read(Job, answer)
        job = job if job.finished else await self.wait(job.id, check=False)
        if job.prediction is None:
            raise JobFailed(job)
        return job.prediction

    async def order_layout(self, module_id: str, layout: str, *, int8: bool = False) -> Job:
        """Order one more layout of a module. Returns the job that makes it, or the one that already made it. Wait for
        the job, then download. For a class set, use the id of the job that made it instead of a module's id.
        """
        body = {"layout": layout, "onnx": {"int8": int8}}
        path = path_of("modules", module_id, "artifacts")
        return read(Job, await self._server.send("POST", path, json=body, repeatable=True))

    async def combine(self, spec: CombineSpec | Mapping[str, Any]) -> Job:
        """Combine several modules into one classifier. Wait for the job, then download its `artifacts`."""
        checked = spec if isinstance(spec, CombineSpec) else CombineSpec.model_validate(spec)
        body = checked.model_dump(mode="json")
        return read(Job, await self._server.send("POST", "/v1/modules:combine", json=body))

    async def artifact(self, artifact_id: str) -> Artifact:
        """Return a stored file's size, digest and contents."""
        return await self._get(Artifact, path_of("artifacts", artifact_id))

    async def download(self, artifact: Artifact | str, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """Download a stored file into a folder (which must exist, or end in `/`) or to a file name.

        The bytes go to `NAME.part`, and a later call resumes an interrupted download. If their sha256 is the
        artifact's, the file becomes NAME. If not, DigestMismatch is raised and nothing is left. `on_bytes(done, total)`
        is called as the download proceeds.
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
        """Download a module into a folder of its own inside `folder`, named by concern and ratio, and check every
        digest. With `unpack=False` it stays an archive. A complete download is not repeated.
        """
        facts = await self.module(module) if isinstance(module, str) else module
        target = Path(folder) / module_name(facts, layout)
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_to = fetch_module if unpack else fetch_archive
        return await fetch_to(self._server, layout_of(facts, layout), target, on_bytes)
