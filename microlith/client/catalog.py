"""Calls about what a job is built from: methods, models, datasets, and bringing one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from microlith.client import uploads
from microlith.client.answers import path_of
from microlith.client.calls import Calls
from microlith.client.download import OnBytes
from microlith.contract import DatasetInfo, Methods, ModelInfo, Upload


class CatalogCalls(Calls):
    """Calls about what a job is built from."""

    async def methods(self) -> Methods:
        """Everything a spec may say, with schemas and defaults."""
        return await self._get(Methods, "/v1/methods")

    def models(self) -> AsyncIterator[ModelInfo]:
        """The caller's registered models, and those that come with the server."""
        return self._pages(ModelInfo, "/v1/models", {})

    async def model(self, ref: str) -> ModelInfo:
        """Architecture, labels and layers of a model, by reference."""
        return await self._get(ModelInfo, path_of("models", ref))

    def datasets(self) -> AsyncIterator[DatasetInfo]:
        """The caller's registered datasets, and those that come with the server."""
        return self._pages(DatasetInfo, "/v1/datasets", {})

    async def dataset(self, ref: str) -> DatasetInfo:
        """Splits, columns and label counts of a dataset, by reference."""
        return await self._get(DatasetInfo, path_of("datasets", ref))

    async def upload_model(self, source: str | Path, on_bytes: OnBytes | None = None) -> ModelInfo:
        """Bring a model folder, or an archive of one, to the server; the answer's `id` names it in a job.

        `on_bytes(done, total)` hears how far it is. What the server has already is not sent again. Raises NotUploadable
        for a folder without weights in safetensors.
        """
        return await uploads.register_model(self._server, source, on_bytes)

    async def upload_dataset(
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
        return await uploads.register_dataset(self._server, source, columns, on_bytes)

    async def upload_boundary(self, source: str | Path, on_bytes: OnBytes | None = None) -> Upload:
        """Bring a set of boundary samples; the answer's `id` is a job's `sampling.boundary.ref`."""
        return await uploads.upload(self._server, source, "boundary", on_bytes)

    def uploads(self) -> AsyncIterator[Upload]:
        """The caller's uploads, newest first."""
        return self._pages(Upload, "/v1/uploads", {})

    async def delete_upload(self, upload_id: str) -> None:
        """Remove an upload that nothing is registered from."""
        await self._server.send("DELETE", path_of("uploads", upload_id))

    async def delete_model(self, model_id: str) -> None:
        """Forget a registered model and its upload; finished jobs keep their modules."""
        await self._server.send("DELETE", path_of("models", model_id))

    async def delete_dataset(self, dataset_id: str) -> None:
        """Forget a registered dataset and its upload."""
        await self._server.send("DELETE", path_of("datasets", dataset_id))
