"""Registered models and datasets: an upload or a name on the hub, checked once, known by an id from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from app.db.tables import SourceRow, UploadRow
from app.db.unit import Unit
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.ids import new_id
from app.services import catalog
from app.services.backend import Backend
from app.services.shelves import Shelves
from app.services.uploads import forget
from app.sources.aside import describe_dataset
from app.sources.models import describe_folder
from app.sources.references import Reference, hub_reference, is_registered
from app.sources.uploaded import roles_there
from microlith.contract import DatasetInfo, DatasetSpec, ModelInfo, RegisterDataset, RegisterModel

Kind = Literal["model", "dataset"]
PREFIXES: dict[Kind, str] = {"model": "mdl", "dataset": "dst"}
COLUMNS = ("text_column", "image_column", "label_column")


@dataclass(frozen=True)
class Library:
    """Models and datasets of one caller, beside those that come with the server."""

    backend: Backend
    owner: str

    def register_model(self, wanted: RegisterModel) -> ModelInfo:
        """The model under an id; the id it has already, where it was registered before.

        Raises UnsafeModel and UnsupportedModel for what cannot be decomposed.
        """
        return _model(self._registered("model", wanted) or self._add_model(wanted))

    def register_dataset(self, wanted: RegisterDataset) -> DatasetInfo:
        """The dataset under an id. Raises DatasetInvalid for what cannot be read."""
        return _dataset(self._registered("dataset", wanted) or self._add_dataset(wanted))

    def models(self, before: str | None, limit: int) -> list[ModelInfo]:
        """The caller's, newest first, then the server's own; one more than `limit` says that there are more."""
        own = [_model(row) for row in self._page("model", before, limit)]
        return own + [info for info in reversed(catalog.models()) if before is None or info.id < before]

    def datasets(self, before: str | None, limit: int) -> list[DatasetInfo]:
        """As `models`."""
        own = [_dataset(row) for row in self._page("dataset", before, limit)]
        return own + [info for info in reversed(catalog.datasets()) if before is None or info.id < before]

    def model(self, ref: str) -> ModelInfo:
        """A model by id or by any other reference."""
        if is_registered(ref):
            return _model(self._find("model", ref))
        return catalog.model(ref, allow_paths=self.backend.settings.paths)

    def dataset(self, ref: str) -> DatasetInfo:
        """A dataset by id or by any other reference."""
        if is_registered(ref):
            return _dataset(self._find("dataset", ref))
        return catalog.dataset(ref, allow_paths=self.backend.settings.paths)

    def delete(self, kind: Kind, source_id: str) -> None:
        """Forget a registered source and its upload. Jobs that used it keep their results; one still queued fails."""
        with self.backend.database.unit() as unit:
            row = unit.sources.find(source_id, self.owner, kind) or _missing(kind, source_id)
            upload = unit.uploads.lock(row.upload_id, self.owner) if row.upload_id else None
            unit.sources.delete(row)
            if upload and not unit.sources.of_upload(upload.id):
                forget(unit, upload, self.backend)

    def _registered(self, kind: Kind, wanted: RegisterModel | RegisterDataset) -> SourceRow | None:
        """What was registered before, from the same and in the same way."""
        hub = str(hub_reference(wanted.hub, pointer="/hub")).removeprefix("hub:") if wanted.hub else None
        with self.backend.database.unit() as unit:
            rows = unit.sources.of_hub(hub, self.owner, kind) if hub else unit.sources.of_upload(wanted.upload or "")
        return next((row for row in rows if row.owner == self.owner and row.columns == _columns(wanted)), None)

    def _add_model(self, wanted: RegisterModel) -> SourceRow:
        source_id = new_id(PREFIXES["model"])
        if wanted.hub is not None:
            return self._add(SourceRow(id=source_id, kind="model", hub=wanted.hub, columns={}))
        upload = self._upload(wanted.upload or "", "model")
        with _pointing_to_the_upload(), self._shelves.place(upload) as place:
            info = describe_folder(Reference("upload", source_id, place=place, called=upload.filename), place)
        return self._add(SourceRow(id=source_id, kind="model", upload_id=upload.id, columns={}, facts=_facts(info)))

    def _add_dataset(self, wanted: RegisterDataset) -> SourceRow:
        source_id, columns = new_id(PREFIXES["dataset"]), _columns(wanted)
        if wanted.hub is not None:
            return self._add(SourceRow(id=source_id, kind="dataset", hub=wanted.hub, columns=columns))
        upload = self._upload(wanted.upload or "", "dataset")
        with _pointing_to_the_upload(), self._shelves.place(upload) as place:
            info = _described(DatasetSpec(ref=source_id, **columns), place, upload.filename)
        facts = _facts(info)
        return self._add(SourceRow(id=source_id, kind="dataset", upload_id=upload.id, columns=columns, facts=facts))

    def _upload(self, upload_id: str, kind: Kind) -> UploadRow:
        """The caller's upload, complete and of this kind."""
        with self.backend.database.unit() as unit:
            upload = unit.uploads.find(upload_id, self.owner)
        if upload is None:
            raise InvalidInput(f"There is no upload {upload_id}.", pointer="/upload")
        if upload.kind != kind:
            raise InvalidInput(f"The upload is of kind {upload.kind}, not {kind}.", pointer="/upload")
        if upload.key is None:
            raise Conflict("The upload is not complete.", hint=f"POST /v1/uploads/{upload_id}/complete first.")
        return upload

    def _add(self, row: SourceRow) -> SourceRow:
        """The row, in the database; its upload is held, so that no sweep takes it in between."""
        with self.backend.database.unit() as unit:
            if row.upload_id and unit.uploads.lock(row.upload_id, self.owner) is None:
                raise Conflict("The upload was deleted meanwhile.", hint="Upload it again.")
            row.owner, row.created_at = self.owner, unit.jobs.now()
            unit.sources.add(row)
        return row

    def _find(self, kind: Kind, source_id: str) -> SourceRow:
        with self.backend.database.unit() as unit:
            return unit.sources.find(source_id, self.owner, kind) or _missing(kind, source_id)

    def _page(self, kind: Kind, before: str | None, limit: int) -> list[SourceRow]:
        with self.backend.database.unit() as unit:
            return list(unit.sources.page(self.owner, kind, before, limit + 1))

    @property
    def _shelves(self) -> Shelves:
        return Shelves.of(self.backend, self.owner)


def describe(unit: Unit, model_id: str, owner: str, info: ModelInfo) -> None:
    """Note what a worker has found behind a model that was registered by its name on the hub."""
    row = unit.sources.find(model_id, owner, "model")
    if row is not None and row.facts is None:
        row.facts = _facts(info)


def _described(source: DatasetSpec, place: Path, called: str) -> DatasetInfo:
    shelf = {source.ref: Reference("upload", source.ref, place=place, called=called)}
    info = describe_dataset(source, roles_there(place), allow_paths=False, shelf=shelf)
    assert info is not None  # it is on this disk
    return info


def _columns(wanted: RegisterModel | RegisterDataset) -> dict[str, Any]:
    """The columns that the caller has named."""
    return {name: value for name in COLUMNS if (value := getattr(wanted, name, None)) is not None}


def _facts(info: ModelInfo | DatasetInfo) -> dict[str, Any]:
    return info.model_dump(mode="json", exclude={"id", "origin", "created_at"})


def _identity(row: SourceRow) -> dict[str, Any]:
    return {"id": row.id, "origin": row.upload_id or f"hub:{row.hub}", "created_at": row.created_at}


def _model(row: SourceRow) -> ModelInfo:
    """A row as it travels; without facts while only its name is known."""
    names = ("sha256", "architecture", "family", "max_length", "parameters", "size_bytes")
    unknown = dict.fromkeys(names) | {"labels": [], "layers": [], "structures": [], "revision": _revision(row)}
    unknown["name"] = _hub_name(row)
    return ModelInfo.model_validate((row.facts or unknown) | _identity(row))


def _dataset(row: SourceRow) -> DatasetInfo:
    known = {name: row.columns.get(name) for name in COLUMNS}
    unknown = known | {"revision": _revision(row), "columns": {}, "splits": {}, "size_bytes": None}
    unknown["name"] = _hub_name(row)
    return DatasetInfo.model_validate((row.facts or unknown) | _identity(row))


def _hub_name(row: SourceRow) -> str | None:
    return (row.hub or "").partition("@")[0].rpartition("/")[2] or None


def _revision(row: SourceRow) -> str | None:
    return (row.hub or "").partition("@")[2] or None


@contextmanager
def _pointing_to_the_upload() -> Iterator[None]:
    """Faults of what was uploaded point to where the request names it, or to the column it names."""
    try:
        yield
    except InvalidInput as error:
        named = (error.pointer or "").rpartition("/")[2]
        error.pointer = f"/{named}" if named in COLUMNS else "/upload"
        raise


def _missing(kind: Kind, source_id: str) -> NoReturn:
    raise NotFound(
        f"There is no registered {kind} {source_id}.", hint=f"GET /v1/{kind}s (`microlith {kind}s`) lists yours."
    )
