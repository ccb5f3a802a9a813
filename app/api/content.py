"""How an artifact's bytes reach a caller without passing through this process's memory."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import FileResponse, RedirectResponse

from app.api.conditional import matches
from app.db.tables import ArtifactRow
from app.domain.errors import ArtifactDamaged, NotFound
from app.storage import ObjectStore
from microlith.file_names import attachment

LINK_SECONDS = 3600
REPAIR = "POST /v1/jobs/{id}/repair makes it again."


def send_content(artifact: ArtifactRow, objects: ObjectStore, if_none_match: str | None) -> Response:
    """304 to a caller who has it, the file of a folder store, or a redirect to a presigned link."""
    headers = _headers(artifact)
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    _check_stored(artifact, objects)
    link = objects.presign(
        artifact.key, filename=artifact.filename, media_type=artifact.media_type, seconds=LINK_SECONDS
    )
    if link is not None:
        return RedirectResponse(link, 307, headers | {"Cache-Control": "no-store"})
    path = objects.local_path(artifact.key)
    assert path is not None, "a store without links is on this machine"
    named = {"Content-Disposition": attachment(artifact.filename)}
    return FileResponse(path, media_type=artifact.media_type, headers=headers | named)


def send_head(artifact: ArtifactRow) -> Response:
    """Size, digest and type, as the database knows them."""
    size = {"Content-Length": str(artifact.size_bytes)}
    return Response(media_type=artifact.media_type, headers=_headers(artifact) | size)


def _check_stored(artifact: ArtifactRow, objects: ObjectStore) -> None:
    """A file that is gone or cut short is refused here; other damage the reader finds by the digest."""
    stored = objects.head(artifact.key)
    if stored is None:
        raise NotFound("The artifact's file is missing from the store.", hint=REPAIR)
    if stored != artifact.size_bytes:
        raise ArtifactDamaged(f"The stored file has {stored} bytes of {artifact.size_bytes}.", hint=REPAIR)


def _headers(artifact: ArtifactRow) -> dict[str, str]:
    """An artifact never changes under its id, so a caller may keep it for good."""
    return {
        "ETag": f'"{artifact.sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
