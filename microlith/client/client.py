"""Client: everything the service offers, as plain calls."""

from __future__ import annotations

from typing import Self

from microlith.client.aio import AsyncClient
from microlith.client.blocking import Facade, blocking, facing, iterating
from microlith.client.handles import JobHandle
from microlith.client.retry import Retry
from microlith.client.transport import Blocking


class Client(Facade[AsyncClient]):
    """A connection to one server.

    Without arguments it reads MICROLITH_URL and MICROLITH_API_KEY, and falls back to a server on this machine. If you
    started that server without a key, the client finds the token in the server's data folder.

    The client repeats requests that are safe to repeat, with growing pauses. A submission has an idempotency key, so it
    makes only one job even if it is sent several times. If the server refuses a request, the client raises a
    ProblemError.

        with Client() as client:
            job = client.decompose("demo:bert-tiny-wordnet", "demo:wordnet-supersense").wait(progress=True)
            print(job.results().to_pandas())
            job.modules["animal"].download("modules")

    `decompose` and `attach` return a job with methods of its own. The other calls return the server's answer.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retry: Retry | None = None,
    ) -> None:
        """`timeout` in seconds limits each connection and each silence of the server, not a whole call."""
        super().__init__(
            AsyncClient(base_url, api_key=api_key, timeout=timeout, retry=retry or Retry(), opener=Blocking)
        )

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self._inner.base_url

    @property
    def has_key(self) -> bool:
        """Whether requests carry a key."""
        return self._inner.has_key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    close = blocking(AsyncClient.close)
    check = blocking(AsyncClient.check)
    health = blocking(AsyncClient.health)
    readiness = blocking(AsyncClient.readiness)

    decompose = facing(AsyncClient.decompose, JobHandle)
    attach = facing(AsyncClient.attach, JobHandle)

    submit = blocking(AsyncClient.submit)
    plan = blocking(AsyncClient.plan)
    job = blocking(AsyncClient.job)
    jobs = iterating(AsyncClient.jobs)
    cancel = blocking(AsyncClient.cancel)
    retry = blocking(AsyncClient.retry)
    repair = blocking(AsyncClient.repair)
    delete = blocking(AsyncClient.delete)
    events = iterating(AsyncClient.events)
    watch = iterating(AsyncClient.watch)
    wait = blocking(AsyncClient.wait)
    results = blocking(AsyncClient.results)
    results_csv = blocking(AsyncClient.results_csv)

    modules = blocking(AsyncClient.modules)
    module = blocking(AsyncClient.module)
    predict = blocking(AsyncClient.predict)
    order_layout = blocking(AsyncClient.order_layout)
    combine = blocking(AsyncClient.combine)
    artifact = blocking(AsyncClient.artifact)
    download = blocking(AsyncClient.download)
    download_module = blocking(AsyncClient.download_module)

    methods = blocking(AsyncClient.methods)
    models = iterating(AsyncClient.models)
    model = blocking(AsyncClient.model)
    datasets = iterating(AsyncClient.datasets)
    dataset = blocking(AsyncClient.dataset)
    upload_model = blocking(AsyncClient.upload_model)
    upload_dataset = blocking(AsyncClient.upload_dataset)
    upload_boundary = blocking(AsyncClient.upload_boundary)
    uploads = iterating(AsyncClient.uploads)
    delete_upload = blocking(AsyncClient.delete_upload)
    delete_model = blocking(AsyncClient.delete_model)
    delete_dataset = blocking(AsyncClient.delete_dataset)
