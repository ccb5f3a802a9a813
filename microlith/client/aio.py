"""AsyncClient: everything the service offers, as coroutines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, Unpack

from microlith.client.catalog import CatalogCalls
from microlith.client.connection import Connection, OpenTransport
from microlith.client.handles import AsyncJobHandle
from microlith.client.modules import ModuleCalls
from microlith.client.options import Dataset, Source, SpecOptions, spec_of
from microlith.client.own_server import token_for
from microlith.client.retry import Retry
from microlith.client.transport import Suspending
from microlith.errors import UnexpectedAnswer

DEFAULT_URL = "http://127.0.0.1:8000"


class AsyncClient(ModuleCalls, CatalogCalls):
    """A connection to one server, for asyncio. It has the same calls as Client, with the same behaviour.

    async with AsyncClient() as client:
        job = await client.submit({"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"})
        async for event in client.events(job.id):
            print(event.type, event.data)
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retry: Retry | None = None,
        opener: OpenTransport = Suspending,
    ) -> None:
        """`timeout` in seconds limits each connection and each silence of the server, not a whole call. `opener`
        decides how calls wait; Client blocks the thread.
        """
        url = base_url or os.environ.get("MICROLITH_URL") or DEFAULT_URL
        key = api_key or os.environ.get("MICROLITH_API_KEY") or token_for(url)
        super().__init__(Connection(opener, url, key, timeout, retry or Retry()))

    async def decompose(self, model: Source, dataset: Dataset, **options: Unpack[SpecOptions]) -> AsyncJobHandle:
        """Submit a job that makes modules of a model, and return the job.

        Model and dataset are references, or a Path on this machine, which is uploaded first (the same content only
        once). The options are those of JobSpec. You can give a method by its name alone: `method="wanda"`.
        """
        model_ref = (await self.upload_model(model)).id if isinstance(model, Path) else model
        dataset_ref = (await self.upload_dataset(dataset)).id if isinstance(dataset, Path) else dataset
        return AsyncJobHandle(self, await self.submit(spec_of(model_ref, dataset_ref, options)))

    async def attach(self, job_id: str) -> AsyncJobHandle:
        """Return an existing job."""
        return AsyncJobHandle(self, await self.job(job_id))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self.base_url!r})"

    async def close(self) -> None:
        """Close the connections. You cannot use the client afterwards."""
        await self._server.close()

    async def check(self) -> None:
        """Return if the server is running and ready. Otherwise raise what is wrong."""
        await self._server.send("GET", "/readyz")

    async def health(self) -> dict[str, str]:
        """Return the server's `status` and `version`, even if a part that it needs does not answer."""
        return await self._facts("/healthz", "status")

    async def readiness(self) -> dict[str, str]:
        """Return `ok`, or what is wrong, for each part that the server needs. Without the key, for all parts
        together.
        """
        answer = await self._facts("/readyz", "status", also=503)
        whole = "ok" if answer["status"] == "ready" else answer["status"]
        parts: dict[str, str] = answer.get("checks") or {"all": whole}
        return parts

    async def _facts(self, path: str, needed: str, also: int | None = None) -> dict[str, Any]:
        answer = await self._server.send("GET", path, also=also)
        try:
            facts: dict[str, Any] = answer.json()
            facts[needed]
        except (ValueError, KeyError, TypeError) as error:
            raise UnexpectedAnswer(str(answer.url), "this is not what a Microlith server says of itself") from error
        return facts
