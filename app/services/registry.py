"""Registered models and datasets: an upload or a name on the hub, checked once, known by an id from then on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from app.db.sources import ListedSource
from app.db.tables import SourceRow, UploadRow
from app.db.unit import Unit
from app.domain.errors import Conflict, InvalidInput, NotFound
from app.domain.ids import new_id
from app.services import catalog
from app.services.backend import Backend
from app.services.local_copies import Shelves
from app.services.source_views import (
    counted_dataset,
    counted_model,
    dataset_of,
    light_dataset,
    light_model,
    listed_dataset,
    listed_model,
    model_of,
)
from app.services.uploads import forget
from app.sources.confined_data import describe_dataset
from app.sources.confined_models import describe_place
from app.sources.references import Reference, hub_reference, is_registered
from app.sources.size_limits import POINTER
from app.sources.uploaded import roles_there
from microlith.contract import DataForm, DatasetInfo, DatasetSpec, ModelInfo, RegisterDataset, RegisterModel

SourceKind = Literal["model", "dataset"]
PREFIXES: dict[SourceKind, str] = {"model": "mdl", "dataset": "dst"}


@dataclass(frozen=True)
class Library:
    """Models and datasets of one caller, beside those that come with the server."""

    backend: Backend
    owner: str

    def register_model(self, registration: RegisterModel) -> ModelInfo:
        """The model under an id; the id it has already, where it was registered before.

        Raises UnsafeModel and UnsupportedModel for what cannot be decomposed.
        """
        return self.model(self._registered("model", registration) or self._add_model(registration))

    def register_dataset(self, registration: RegisterDataset) -> DatasetInfo:
        """The dataset under an id. Raises DatasetInvalid for what cannot be read."""
        return self.dataset(self._registered("dataset", registration) or self._add_dataset(registration))

    def models(self, before: str | None, limit: int) -> list[ModelInfo]:
        """The caller's, newest first, then the server's own; one more than `limit` says that there are more.

        Labels and layers are left out.
        """
        own = [listed_model(row) for row in self._page("model", before, limit)]
        known = [light_model(info) for info in reversed(catalog.models())]
        return own + [info for info in known if before is None or info.id < before]

    def datasets(self, before: str | None, limit: int) -> list[DatasetInfo]:
        """As `models`; columns and the counts of labels are left out."""
        own = [listed_dataset(row) for row in self._page("dataset", before, limit)]
        known = [light_dataset(info) for info in reversed(catalog.datasets())]
        return own + [info for info in known if before is None or info.id < before]

    def model(self, ref: str) -> ModelInfo:
        """A model by id or by any other reference."""
        if is_registered(ref):
            return counted_model(model_of(self._find("model", ref)))
        return counted_model(catalog.model(ref, allow_paths=self.backend.settings.paths))

    def dataset(self, ref: str) -> DatasetInfo:
        """A dataset by id or by any other reference."""
        if is_registered(ref):
            return counted_dataset(dataset_of(self._find("dataset", ref)))
        return counted_dataset(catalog.dataset(ref, allow_paths=self.backend.settings.paths))

    def delete(self, kind: SourceKind, source_id: str) -> None:
        """Forget a registered source and its upload. Jobs that used it keep their results; one still queued fails."""
        with self.backend.database.unit() as unit:
            row = unit.sources.find(source_id, self.owner, kind) or _missing(kind, source_id)
            upload = unit.uploads.lock(row.upload_id, self.owner) if row.upload_id else None
            unit.sources.delete(row)
            if upload and not unit.sources.of_upload(upload.id):
                forget(unit, upload, self.backend)

    def _registered(self, kind: SourceKind, registration: RegisterModel | RegisterDataset) -> str | None:
        """The id of what was registered before, from the same and in the same way."""
        with self.backend.database.unit() as unit:
            return _same(unit, self.owner, _draft(kind, registration))

    def _add_model(self, registration: RegisterModel) -> str:
        row = _draft("model", registration)
        if registration.upload is not None:
            upload = self._upload(registration.upload, "model")
            with _pointing_to_the_upload({}), self._shelves.place(upload) as folder:
                info = describe_place(Reference("upload", row.id, place=folder, called=upload.filename), folder)
            row.facts = _facts(counted_model(info))
        return self._add(row)

    def _add_dataset(self, registration: RegisterDataset) -> str:
        row = _draft("dataset", registration)
        if registration.upload is not None:
            upload = self._upload(registration.upload, "dataset")
            with _pointing_to_the_upload(row.columns), self._shelves.place(upload) as files:
                info = _described(DatasetSpec(ref=_stand_in(upload), **row.columns), files, upload.filename)
            row.facts = _facts(counted_dataset(info))
        return self._add(row)

    def _upload(self, upload_id: str, kind: SourceKind) -> UploadRow:
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

    def _add(self, row: SourceRow) -> str:
        """The id that the row has now; of many who register the same at once all get the same id.

        Its upload is held, so that no sweep takes it in between.
        """
        with self.backend.database.unit() as unit:
            if row.upload_id and unit.uploads.lock(row.upload_id, self.owner) is None:
                raise Conflict("The upload was deleted in the meantime.", hint="Upload it again.")
            if row.hub:
                unit.sources.hold(self.owner, row.kind, row.hub)
            if known := _same(unit, self.owner, row):
                return known
            row.owner, row.created_at = self.owner, unit.jobs.now()
            unit.sources.add(row)
        return row.id

    def _find(self, kind: SourceKind, source_id: str) -> ListedSource:
        with self.backend.database.unit() as unit:
            return unit.sources.whole(source_id, self.owner, kind) or _missing(kind, source_id)

    def _page(self, kind: SourceKind, before: str | None, limit: int) -> list[ListedSource]:
        with self.backend.database.unit() as unit:
            return list(unit.sources.page(self.owner, kind, before, limit + 1))

    @property
    def _shelves(self) -> Shelves:
        return Shelves.of(self.backend, self.owner)


def describe(unit: Unit, model_id: str, owner: str, info: ModelInfo) -> None:
    """Note what a worker has found: all there is of a model that was registered by its name on the hub, and of one

    of no known family what can be removed.
    """
    row = unit.sources.undescribed(model_id, owner, "model")
    if row is not None:
        row.facts = _facts(counted_model(info))
    elif info.family is None and (known := unit.sources.find(model_id, owner, "model")) is not None:
        found = {"structures": info.structures, "structures_refused": info.structures_refused}
        known.facts = {**(known.facts or {}), **found}


def _draft(kind: SourceKind, registration: RegisterModel | RegisterDataset) -> SourceRow:
    """The row of what is wanted, as it would be added. Raises InvalidInput for what is no name on the hub."""
    hub = str(hub_reference(registration.hub, pointer="/hub")).removeprefix("hub:") if registration.hub else None
    return SourceRow(
        id=new_id(PREFIXES[kind]), kind=kind, upload_id=registration.upload, hub=hub, columns=_form(registration)
    )


def _same(unit: Unit, owner: str, draft: SourceRow) -> str | None:
    """The id of the caller's source that is from the same and was registered in the same way."""
    if draft.hub:
        rows = unit.sources.of_hub(draft.hub, owner, draft.kind)
    else:
        rows = unit.sources.of_upload(draft.upload_id or "")
    mine = (row for row in rows if (row.owner, row.kind) == (owner, draft.kind))
    return next((row.id for row in mine if row.columns == draft.columns), None)


def _described(source: DatasetSpec, files: Path, called: str) -> DatasetInfo:
    shelf = {source.ref: Reference("upload", source.ref, place=files, called=called)}
    info = describe_dataset(source, roles_there(files, source), allow_paths=False, shelf=shelf)
    assert info is not None  # it is on this disk
    return info


def _stand_in(upload: UploadRow) -> str:
    """What a dataset is called while it is looked at: the same for all who register it, so that one look does."""
    return f"{PREFIXES['dataset']}_{upload.id.partition('_')[2]}"


def _form(registration: RegisterModel | RegisterDataset) -> dict[str, Any]:
    """What the caller says of how the data is read."""
    return registration.model_dump(mode="json", include=set(DataForm.model_fields), exclude_defaults=True)


def _facts(info: ModelInfo | DatasetInfo) -> dict[str, Any]:
    return info.model_dump(mode="json", exclude={"id", "origin", "created_at"})


@contextmanager
def _pointing_to_the_upload(form: Mapping[str, Any]) -> Iterator[None]:
    """Faults of what was uploaded point to where the request names it, or to what it says of how to read it.

    Splits are said of an upload by its files, unless the `form` says more.
    """
    try:
        yield
    except InvalidInput as error:
        place = (error.pointer or "").removeprefix(POINTER)
        field = place.split("/")[1] if place else ""
        error.pointer = place if field in form or field in DataForm.model_fields.keys() - {"splits"} else "/upload"
        raise


def _missing(kind: SourceKind, source_id: str) -> NoReturn:
    raise NotFound(
        f"There is no registered {kind} {source_id}.", hint=f"GET /v1/{kind}s (`microlith {kind}s`) lists yours."
    )
