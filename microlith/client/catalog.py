"""Calls about what a job is built from: methods, models, datasets and uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Unpack

from microlith.client import uploads
from microlith.client.answers import path_of
from microlith.client.calls import Calls
from microlith.client.download import OnBytes
from microlith.client.options import FormOptions, form_of
from microlith.contract import DatasetInfo, Methods, ModelInfo, Upload


class CatalogCalls(Calls):
    """Calls about what a job is built from."""

    async def methods(self) -> Methods:
        """Return everything that a spec can contain, with schemas and defaults."""
        return await self._get(Methods, "/v1/methods")

    def models(self) -> AsyncIterator[ModelInfo]:
        """Yield your registered models, then those that come with the server."""
        return self._pages(ModelInfo, "/v1/models", {})

    async def model(self, ref: str) -> ModelInfo:
        """Return architecture, labels and layers of a model, by reference."""
        return await self._get(ModelInfo, path_of("models", ref))

    def datasets(self) -> AsyncIterator[DatasetInfo]:
        """Yield your registered datasets, then those that come with the server."""
        return self._pages(DatasetInfo, "/v1/datasets", {})

    async def dataset(self, ref: str) -> DatasetInfo:
        """Return splits, columns and label counts of a dataset, by reference."""
        return await self._get(DatasetInfo, path_of("datasets", ref))

    async def upload_model(self, source: str | Path, on_bytes: OnBytes | None = None) -> ModelInfo:
        """Upload a model folder, or an archive of one. Use the answer's `id` in a job.

        `on_bytes(done, total)` is called as the upload proceeds. A file that the server already has is not sent again.
        Raises NotUploadable for a folder without weights in safetensors.
        """
        return await uploads.register_model(self._server, source, on_bytes)

    async def upload_dataset(
        self, source: str | Path, on_bytes: OnBytes | None = None, **form: Unpack[FormOptions]
    ) -> DatasetInfo:
        """Upload a data file, a folder with one file per split, or an archive of one. Name columns that have no usual
        name. Rows are pairs of texts if you name the column of second texts. What you say of columns, labels and splits
        holds in every job with the data.
        """
        return await uploads.register_dataset(self._server, source, form_of(form), on_bytes)

    async def upload_boundary(self, source: str | Path, on_bytes: OnBytes | None = None) -> Upload:
        """Upload a set of boundary samples. Use the answer's `id` as a job's `sampling.boundary.ref`."""
        return await uploads.upload(self._server, source, "boundary", on_bytes)

    def uploads(self) -> AsyncIterator[Upload]:
        """Yield your uploads, newest first."""
        return self._pages(Upload, "/v1/uploads", {})

    async def delete_upload(self, upload_id: str) -> None:
        """Delete an upload that no registered model or dataset uses."""
        await self._server.send("DELETE", path_of("uploads", upload_id))

    async def delete_model(self, model_id: str) -> None:
        """Delete a registered model and its upload. Finished jobs keep their modules."""
        await self._server.send("DELETE", path_of("models", model_id))

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete a registered dataset and its upload. Finished jobs keep their modules."""
        await self._server.send("DELETE", path_of("datasets", dataset_id))
