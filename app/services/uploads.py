"""Uploads: begun, sent, checked and sealed.

A file arrives at a key its sender may write to. Completing moves it to another that nobody can write to, and only there
it is measured and hashed, so that what was checked is what is kept. No transaction is open while bytes move.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn, cast

from starlette.concurrency import run_in_threadpool

from app.db.tables import UploadRow
from app.db.unit import Unit
from app.domain.errors import Conflict, DatasetInvalid, InvalidInput, NotFound, PayloadTooLarge
from app.domain.ids import new_id
from app.services.backend import Backend
from app.services.discarding import discard
from app.sources.boundary_files import check_boundary
from app.sources.splits import remedy
from microlith.contract import BeginUpload, Upload, UploadTarget
from microlith.contract.uploads import UploadKind, UploadUrls

UPLOADS = "uploads"
LINK_SECONDS = 6 * 3600
BUFFER_BYTES = 1024 * 1024
MEDIA_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Uploads:
    """Uploads of one caller. Every read and write is a short transaction of its own."""

    backend: Backend
    owner: str

    def begin(self, announced: BeginUpload) -> Upload:
        """A new upload; or the complete one with this content, if the caller has said which and sent it before."""
        limit = self.backend.settings.max_upload_bytes
        if announced.size_bytes > limit:
            raise PayloadTooLarge(f"An upload may have at most {limit:,} bytes.", pointer="/size_bytes")
        if announced.kind == "dataset" and (hint := remedy([announced.filename])):
            raise DatasetInvalid(f"{announced.filename} is not a data file.", hint=hint, pointer="/filename")
        with self.backend.database.unit() as unit:
            for row in unit.uploads.same(self.owner, announced.kind, announced.sha256) if announced.sha256 else ():
                if row.size_bytes == announced.size_bytes and row.filename == announced.filename:
                    return self.show(row)
            row = self._new(announced, unit)
            unit.uploads.add(row)
        return self.show(row)

    def get(self, upload_id: str) -> Upload:
        return self.show(self.find(upload_id))

    def page(self, before: str | None, limit: int) -> list[Upload]:
        """Newest first; one more than `limit` tells the caller that there is a next page."""
        with self.backend.database.unit() as unit:
            rows = unit.uploads.page(self.owner, before, limit + 1)
        return [self.show(row) for row in rows]

    async def receive(self, upload_id: str, body: AsyncIterator[bytes]) -> Upload:
        """Take the bytes, whole, in place of what was sent before. Nothing is kept of a body that breaks off."""
        row = await self.backend.lanes.looks.run(("upload", upload_id), lambda: self._open(upload_id))
        with tempfile.NamedTemporaryFile(dir=self._scratch(), prefix="upload-") as file:
            arrived, buffer = 0, bytearray()
            async for chunk in body:
                arrived += len(chunk)
                if arrived > row.size_bytes:
                    raise PayloadTooLarge(f"The upload was announced with {row.size_bytes:,} bytes, and more arrive.")
                buffer += chunk
                if len(buffer) >= BUFFER_BYTES:
                    await run_in_threadpool(file.write, bytes(buffer))
                    buffer.clear()
            file.write(bytes(buffer))
            file.flush()
            if arrived != row.size_bytes:
                raise InvalidInput(f"The upload was announced with {row.size_bytes:,} bytes; {arrived:,} arrived.")
            put = self.backend.objects.put_file
            await run_in_threadpool(put, row.staged, Path(file.name), MEDIA_TYPE, replace=True)
        return self.show(row)

    def complete(self, upload_id: str, sha256: str) -> Upload:
        """Check size and digest of what was sent and keep it for good. A mismatch leaves the upload open.

        Models and data are looked at when they are registered, boundary samples here: they need no registration.
        """
        row = self.find(upload_id)
        if row.key is None:
            self._check_promise(row, sha256)
            sealed = f"{UPLOADS}/sha256/{sha256[:2]}/{sha256}-{new_id('blob')}"
            with self.backend.database.shielded([sealed]):  # until a row names it
                self.seal(row, sealed, sha256)
                row = self.keep(upload_id, sealed, sha256)
        if row.sha256 != sha256:
            raise Conflict("The upload is complete and has another sha256.", hint="Begin another upload.")
        return self.show(row)

    def delete(self, upload_id: str) -> None:
        """Remove an upload, arrived or not. What is registered must go first."""
        with self.backend.database.unit() as unit:
            row = unit.uploads.lock(upload_id, self.owner) or _missing(upload_id)
            used = [source.id for source in unit.sources.of_upload(row.id)]
            if used:
                raise Conflict(
                    f"{', '.join(used)} was registered from this upload.",
                    hint="Delete that one; its upload is deleted too.",
                )
            forget(unit, row, self.backend)

    def find(self, upload_id: str) -> UploadRow:
        """The caller's row. Raises NotFound."""
        with self.backend.database.unit() as unit:
            return unit.uploads.find(upload_id, self.owner) or _missing(upload_id)

    def show(self, row: UploadRow) -> Upload:
        """A row as it travels; an open one with a fresh link."""
        url = f"/v1/uploads/{row.id}"
        return Upload(
            id=row.id,
            kind=cast(UploadKind, row.kind),
            filename=row.filename,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            state="open" if row.key is None else "complete",
            target=self._target(row, f"{url}/content") if row.key is None else None,
            created_at=row.created_at,
            completed_at=row.completed_at,
            urls=UploadUrls(self=url, content=f"{url}/content", complete=f"{url}/complete"),
        )

    def _new(self, announced: BeginUpload, unit: Unit) -> UploadRow:
        upload_id = new_id("upl")
        return UploadRow(
            id=upload_id,
            owner=self.owner,
            kind=announced.kind,
            filename=announced.filename,
            size_bytes=announced.size_bytes,
            sha256=announced.sha256,
            staged=f"{UPLOADS}/incoming/{upload_id}",
            created_at=unit.jobs.now(),
        )

    def _target(self, row: UploadRow, content: str) -> UploadTarget:
        link = self.backend.objects.presign_put(row.staged, size_bytes=row.size_bytes, seconds=LINK_SECONDS)
        if link is None:
            return UploadTarget(url=content)
        return UploadTarget(url=link, expires_at=datetime.now(UTC) + timedelta(seconds=LINK_SECONDS))

    def _open(self, upload_id: str) -> UploadRow:
        row = self.find(upload_id)
        if row.key is not None:
            raise Conflict("The upload is complete and cannot change.", hint="Begin another upload.")
        return row

    def _scratch(self) -> Path:
        folder = self.backend.settings.cache_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _check_promise(self, row: UploadRow, sha256: str) -> None:
        """Before any byte moves: what was announced is what is said now, and as much has arrived."""
        if row.sha256 not in (None, sha256):
            raise InvalidInput(f"The upload was announced with sha256 {row.sha256}.", pointer="/sha256")
        arrived = self.backend.objects.head(row.staged)
        if arrived is None:
            raise Conflict("Nothing has arrived yet.", hint="PUT the file to the upload's `target.url` first.")
        if arrived != row.size_bytes:
            raise InvalidInput(
                f"{arrived:,} bytes arrived of {row.size_bytes:,}.", hint="PUT the whole file again.", pointer=""
            )

    def seal(self, row: UploadRow, sealed: str, sha256: str) -> None:
        """Move the file to `sealed`. Raises InvalidInput, and keeps nothing, for other bytes than promised."""
        objects = self.backend.objects
        try:
            objects.move(row.staged, sealed)
        except FileNotFoundError:
            raise Conflict("Another request is completing the upload.", hint="GET it again shortly.") from None
        size, actual = objects.head(sealed), objects.sha256(sealed)
        if (size, actual) != (row.size_bytes, sha256):
            objects.delete(sealed)
            raise InvalidInput(
                f"The sha256 of the received bytes is {actual}, not {sha256}.",
                hint="PUT the file again. If that fails too, check the digest that you send.",
                pointer="/sha256",
            )
        if row.kind == "boundary":
            self._check_boundary(sealed)

    def _check_boundary(self, key: str) -> None:
        with closing(self.backend.objects.open(key)) as chunks:
            beginning = next(chunks, b"")
        try:
            check_boundary(beginning)
        except DatasetInvalid:
            self.backend.objects.delete(key)
            raise

    def keep(self, upload_id: str, sealed: str, sha256: str) -> UploadRow:
        """The row with its file; where another request has completed or deleted it meanwhile, this one's file goes."""
        with self.backend.database.unit() as unit:
            row = unit.uploads.lock(upload_id, self.owner)
            if row is not None and row.key is None:
                row.key, row.sha256, row.completed_at = sealed, sha256, unit.jobs.now()
                return row
        self.backend.objects.delete(sealed)
        return row or _missing(upload_id)


def forget(unit: Unit, row: UploadRow, backend: Backend) -> None:
    """Delete a locked row, and its file after the commit: no other row names it."""
    unit.uploads.delete(row)
    keys = [row.staged, *([row.key] if row.key else [])]
    unit.after_commit(lambda: discard(backend, keys))


def remove_unused(backend: Backend, hours: float) -> None:
    """Remove uploads older than so many hours that nothing references."""
    with backend.database.unit() as unit:
        for row in unit.uploads.unused(hours):
            forget(unit, row, backend)


def _missing(upload_id: str) -> NoReturn:
    raise NotFound(f"There is no upload {upload_id}.", hint="GET /v1/uploads lists yours.")
