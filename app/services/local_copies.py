"""Registered sources on this machine's disk: fetched from the object store, checked and unpacked when needed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from app.db.tables import SourceRow, UploadRow
from app.db.unit import Database
from app.domain.errors import SourceUnavailable
from app.services.backend import Backend
from app.settings import Settings
from app.sources.cache import Cache
from app.sources.references import NOTHING, Reference, Shelf, hub_reference, is_registered
from app.sources.uploaded import entry_name, lay_out, place_in
from app.storage import ObjectStore
from microlith.contract import DatasetSpec, JobSpec
from microlith.contract.uploads import UploadKind

_TOGETHER = (
    ({"text_column", "image_column"}, {"text_column", "text_pair_column", "image_column"}),
    ({"label_column", "label_columns"}, {"label_column", "label_columns"}),
    ({"splits", "carve"}, {"splits", "carve"}),
)
"""Where one of the first is said, all of the second are."""


@dataclass(frozen=True)
class Shelves:
    """What ids of one caller stand for. Reads are short transactions, and none is open while bytes move."""

    database: Database
    objects: ObjectStore
    settings: Settings
    owner: str

    @classmethod
    def of(cls, backend: Backend, owner: str) -> Shelves:
        return cls(backend.database, backend.objects, backend.settings, owner)

    @contextmanager
    def shelf(self, spec: JobSpec, *, model_only: bool = False) -> Iterator[Shelf]:
        """Everything registered that the spec names and that is there, for as long as the block runs.

        Raises SourceUnavailable for what is gone from the object store, OSError where that cannot be used.
        """
        ids = registered(spec, model_only=model_only)
        if not ids:
            yield NOTHING
            return
        with self.database.unit() as unit:
            sources = unit.sources.of_ids(ids, self.owner)
            refusals = unit.sources.refusals(source.id for source in sources)
            upload_ids = {source.upload_id for source in sources if source.upload_id} | ids
            uploads = {key: row for key, row in unit.uploads.of_ids(upload_ids).items() if row.owner == self.owner}
        with ExitStack() as held:
            found = {source.id: self._reference(source, uploads, held) for source in sources}
            references = {key: replace(found[key], refused=refusals.get(key)) for key in found}
            for key in ids & uploads.keys():
                upload = uploads[key]
                if upload.kind == "boundary" and upload.key is not None:
                    references[key] = Reference("upload", key, place=held.enter_context(self.place(upload)))
            yield references

    @contextmanager
    def place(self, upload: UploadRow) -> Iterator[Path]:
        """Where a complete upload's content is. Raises InvalidInput for what is unsafe to unpack."""
        kind = cast(UploadKind, upload.kind)
        name = entry_name(kind, upload.filename, upload.sha256 or "")
        cache = Cache(self.settings.cache_dir, self.settings.cache_bytes)
        with cache.held(name, partial(self._fetch, upload)) as entry:
            yield place_in(entry, kind, upload.filename)

    def completed(self, spec: JobSpec) -> JobSpec:
        """The spec with what its dataset was registered with, where it says nothing else itself.

        Columns of inputs go together, and so do splits and what is carved: who names one of them names all.
        """
        source = spec.source
        if not is_registered(source.ref):
            return spec
        with self.database.unit() as unit:
            row = unit.sources.find(source.ref, self.owner, "dataset")
        said = source.model_dump(mode="json", exclude_defaults=True)
        taken = said.keys() | {name for one, all_ in _TOGETHER if one & said.keys() for name in all_}
        missing = {name: value for name, value in (row.columns if row else {}).items() if name not in taken}
        return spec.model_copy(update={"dataset": DatasetSpec.model_validate(missing | said)}) if missing else spec

    def _reference(self, source: SourceRow, uploads: dict[str, UploadRow], held: ExitStack) -> Reference:
        if source.upload_id is None:
            return hub_reference(source.hub or "", pointer="/hub")
        upload = uploads[source.upload_id]
        return Reference("upload", source.id, place=held.enter_context(self.place(upload)), called=upload.filename)

    def _fetch(self, upload: UploadRow, folder: Path) -> None:
        """Download, check against the digest once more, and lay out."""
        file = folder / "upload"
        try:
            self.objects.download(upload.key or "", file)
        except FileNotFoundError as error:
            raise SourceUnavailable(
                f"The file of {upload.id} is missing from the store.", hint="Upload it again."
            ) from error
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != upload.sha256:
                raise SourceUnavailable(f"The stored file of {upload.id} is damaged.", hint="Upload it again.")
        lay_out(file, cast(UploadKind, upload.kind), upload.filename, folder)
        file.unlink(missing_ok=True)


def registered(spec: JobSpec, *, model_only: bool = False) -> set[str]:
    """The ids of registered sources that a spec names."""
    boundary = spec.sampling.boundary.ref if spec.sampling.source == "boundary" else None
    named = (spec.model,) if model_only else (spec.model, spec.source.ref, boundary)
    return {ref for ref in named if ref and is_registered(ref)}
