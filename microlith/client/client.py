"""Client: everything the service offers, as typed calls."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, Unpack

import httpx

from microlith.client import uploads
from microlith.client.answers import Answered, path_of, read
from microlith.client.archive import fetch_archive, fetch_module
from microlith.client.connection import Connection
from microlith.client.download import OnBytes, fetch, file_for, layout_of, module_name
from microlith.client.filters import JobFilters, query
from microlith.client.follow import follow
from microlith.client.retry import Retry
from microlith.contract import (
    Artifact,
    CombineSpec,
    DatasetInfo,
    Event,
    Job,
    JobSpec,
    Methods,
    ModelInfo,
    Module,
    Page,
    Plan,
    Results,
    Upload,
)
from microlith.errors import JobFailed

DEFAULT_URL = "http://127.0.0.1:8000"
LONGEST_WAIT = 60
WATCH_SECONDS = 30
WATCH_PAUSE = 0.2


class Client:
    """A connection to one server.

    Without arguments it reads MICROLITH_URL and MICROLITH_API_KEY and falls back to a server on this machine.
    Requests that can be repeated without harm are, with growing pauses; a submission carries an idempotency key, so
    that it makes one job however often it had to be sent. What the server refuses is raised as a ProblemError.

        with Client() as client:
            job = client.submit({"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"})
            client.wait(job.id)
            print(client.results_csv(job.id))
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retry: Retry | None = None,
    ) -> None:
        """`timeout` in seconds is for each connection and each silence of the server, not for a whole call."""
        url = base_url or os.environ.get("MICROLITH_URL") or DEFAULT_URL
        key = api_key or os.environ.get("MICROLITH_API_KEY")
        self._timeout = timeout
        self._server = Connection(url, key, timeout, retry or Retry())

    @property
    def base_url(self) -> str:
        return self._server.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def close(self) -> None:
        """Drop the connections; the client cannot be used afterwards."""
        self._server.close()

    def check(self) -> None:
        """Return if the server is up and ready to work; raise what is wrong otherwise."""
        self._server.send("GET", "/readyz")

    def submit(self, spec: JobSpec | dict[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Ask for a decomposition. Unless the spec says `reuse: false`, an identical finished job is the answer."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = self._server.send("POST", "/v1/jobs", json=_body(spec), headers=headers, repeatable=True)
        return read(Job, answer)

    def plan(self, spec: JobSpec | dict[str, Any]) -> Plan:
        """What `submit` would do, without doing it: layers, modules, an estimate of time and size."""
        answer = self._server.send(
            "POST", "/v1/jobs", json=_body(spec), params={"validate_only": "true"}, repeatable=True
        )
        return read(Plan, answer)

    def job(self, job_id: str, wait: float | None = None) -> Job:
        """The job as it is, or at its next change if that comes within `wait` seconds (60 at most)."""
        if wait is None:
            return self._get(Job, path_of("jobs", job_id))
        return read(Job, self._long_poll(job_id, min(wait, LONGEST_WAIT)))

    def jobs(self, **filters: Unpack[JobFilters]) -> Iterator[Job]:
        """The caller's jobs, newest first, fetched page by page as they are read."""
        return self._pages(Job, "/v1/jobs", query(filters))

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop: it ends as cancelled, and keeps the modules it has finished."""
        return read(Job, self._server.send("POST", path_of("jobs", job_id, "cancel")))

    def retry(self, job_id: str) -> Job:
        """Queue a failed, cancelled or expired job again; it goes on with the concerns that are left."""
        return read(Job, self._server.send("POST", path_of("jobs", job_id, "retry")))

    def repair(self, job_id: str) -> Job:
        """Have every stored file of a finished job looked at, and made anew where it is damaged or gone."""
        return read(Job, self._server.send("POST", path_of("jobs", job_id, "repair")))

    def order_layout(self, module_id: str, layout: str, *, int8: bool = False) -> Job:
        """Have one more layout of a module made; the job that does it, or has done it. Wait for it, then download."""
        body = {"layout": layout, "onnx": {"int8": int8}}
        return read(
            Job, self._server.send("POST", path_of("modules", module_id, "artifacts"), json=body, repeatable=True)
        )

    def combine(self, spec: CombineSpec | Mapping[str, Any]) -> Job:
        """Have one classifier made of several modules; wait for the job, then download its `artifacts`."""
        wanted = spec if isinstance(spec, CombineSpec) else CombineSpec.model_validate(spec)
        return read(Job, self._server.send("POST", "/v1/modules:combine", json=wanted.model_dump(mode="json")))

    def delete(self, job_id: str) -> None:
        """Remove a finished job with its modules and their files."""
        self._server.send("DELETE", path_of("jobs", job_id))

    def events(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """The job's history after event number `after`, then what happens, until the job is over.

        A cut connection is taken up again where it broke, so that every event comes exactly once.
        """
        return follow(self._server, path_of("jobs", job_id), after)

    def watch(self, job_id: str) -> Iterator[Job]:
        """The job now, and again after every change, until it is over."""
        etag: str | None = None
        while True:
            asked = time.monotonic()
            answer = (
                self._long_poll(job_id, WATCH_SECONDS, etag)
                if etag
                else self._server.send("GET", path_of("jobs", job_id))
            )
            if answer.status_code != 304:
                etag = answer.headers.get("ETag")
                job = read(Job, answer)
                yield job
                if job.finished:
                    return
            time.sleep(max(0.0, WATCH_PAUSE - (time.monotonic() - asked)))

    def wait(self, job_id: str, on_event: Callable[[Event], object] | None = None, *, check: bool = True) -> Job:
        """The job once it is over. Raises JobFailed when it did not succeed, unless `check` is false."""
        if on_event:
            for event in self.events(job_id):
                on_event(event)
            job = self.job(job_id)
        else:
            *_, job = self.watch(job_id)
        if check and job.state != "succeeded":
            raise JobFailed(job)
        return job

    def modules(self, job_id: str) -> list[Module]:
        """The job's modules so far."""
        return list(self._pages(Module, path_of("jobs", job_id, "modules"), {}))

    def module(self, module_id: str) -> Module:
        return self._get(Module, path_of("modules", module_id))

    def results(self, job_id: str) -> Results:
        """The base's report, every module so far and the comparison of the two."""
        return self._get(Results, path_of("jobs", job_id, "results"))

    def results_csv(self, job_id: str) -> str:
        """The table `class,precision,recall,f1-score,support`: row i is module i on its own class."""
        return self._server.send("GET", path_of("jobs", job_id, "results.csv")).text

    def methods(self) -> Methods:
        """Everything a spec may say, with schemas and defaults."""
        return self._get(Methods, "/v1/methods")

    def models(self) -> Iterator[ModelInfo]:
        return self._pages(ModelInfo, "/v1/models", {})

    def model(self, ref: str) -> ModelInfo:
        """Architecture, labels and layers of a model, by reference."""
        return self._get(ModelInfo, path_of("models", ref))

    def datasets(self) -> Iterator[DatasetInfo]:
        return self._pages(DatasetInfo, "/v1/datasets", {})

    def dataset(self, ref: str) -> DatasetInfo:
        """Splits, columns and label counts of a dataset, by reference."""
        return self._get(DatasetInfo, path_of("datasets", ref))

    def upload_model(self, source: str | Path, on_bytes: OnBytes | None = None) -> ModelInfo:
        """Bring a model folder, or an archive of one, to the server; the answer's `id` names it in a job.

        `on_bytes(done, total)` hears how far it is. What the server has already is not sent again. Raises NotUploadable
        for a folder without weights in safetensors.
        """
        return uploads.register_model(self._server, source, on_bytes)

    def upload_dataset(
        self,
        source: str | Path,
        on_bytes: OnBytes | None = None,
        *,
        text_column: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
    ) -> DatasetInfo:
        """Bring a data file, a folder with a file per split, or an archive of one; columns by usual names, or these."""
        named = {"text_column": text_column, "image_column": image_column, "label_column": label_column}
        columns = {name: value for name, value in named.items() if value is not None}
        return uploads.register_dataset(self._server, source, columns, on_bytes)

    def upload_boundary(self, source: str | Path, on_bytes: OnBytes | None = None) -> Upload:
        """Bring a set of boundary samples; the answer's `id` is a job's `sampling.boundary.ref`."""
        return uploads.upload(self._server, source, "boundary", on_bytes)

    def uploads(self) -> Iterator[Upload]:
        """The caller's uploads, newest first."""
        return self._pages(Upload, "/v1/uploads", {})

    def delete_upload(self, upload_id: str) -> None:
        """Remove an upload that nothing is registered from."""
        self._server.send("DELETE", path_of("uploads", upload_id))

    def delete_model(self, model_id: str) -> None:
        """Forget a registered model and its upload; finished jobs keep their modules."""
        self._server.send("DELETE", path_of("models", model_id))

    def delete_dataset(self, dataset_id: str) -> None:
        """Forget a registered dataset and its upload."""
        self._server.send("DELETE", path_of("datasets", dataset_id))

    def artifact(self, artifact_id: str) -> Artifact:
        return self._get(Artifact, path_of("artifacts", artifact_id))

    def download(self, artifact: Artifact | str, to: str | Path, on_bytes: OnBytes | None = None) -> Path:
        """Fetch a stored file into a folder (which must exist, or be written with a final `/`) or to a file name.

        The bytes go to `NAME.part`, which a later call takes up where it broke, and become NAME once their sha256 is
        the artifact's; otherwise DigestMismatch is raised and nothing is left. `on_bytes(done, total)` hears how far
        it is.
        """
        known = self.artifact(artifact) if isinstance(artifact, str) else artifact
        return fetch(self._server, known, file_for(known, to), on_bytes)

    def download_module(
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
        known = self.module(module) if isinstance(module, str) else module
        target = Path(folder) / module_name(known, layout)
        target.parent.mkdir(parents=True, exist_ok=True)
        bring = fetch_module if unpack else fetch_archive
        return bring(self._server, layout_of(known, layout), target, on_bytes)

    def _get(self, model: type[Answered], path: str) -> Answered:
        return read(model, self._server.send("GET", path))

    def _pages(self, model: type[Answered], path: str, params: dict[str, str]) -> Iterator[Answered]:
        cursor: dict[str, str] = {}
        while True:
            answer = self._server.send("GET", path, params={**params, **cursor})
            page = read(Page[model], answer)  # type: ignore[valid-type]
            yield from page.data
            if page.next_cursor is None:
                return
            cursor = {"cursor": page.next_cursor}

    def _long_poll(self, job_id: str, seconds: float, etag: str | None = None) -> httpx.Response:
        headers = {"Prefer": f"wait={seconds:g}"} | ({"If-None-Match": etag} if etag else {})
        return self._server.send("GET", path_of("jobs", job_id), headers=headers, timeout=self._timeout + seconds)


def _body(spec: JobSpec | dict[str, Any]) -> dict[str, Any]:
    return spec.model_dump(mode="json") if isinstance(spec, JobSpec) else spec
