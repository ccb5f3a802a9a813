"""Routes of uploads."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from app.api.dependencies import CallersUploads, PageCursor
from app.api.problems import document
from app.api.threaded_routes import Visit, lane
from app.domain.errors import Conflict, DatasetInvalid, InvalidInput, NotFound, PayloadTooLarge
from microlith.contract import BeginUpload, CompleteUpload, Page, Upload

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=Visit)

ANY_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.post("", status_code=201, response_model=Upload, responses=document(DatasetInvalid, PayloadTooLarge))
def begin_upload(announced: BeginUpload, uploads: CallersUploads) -> Response:
    """Announce a file. The answer says where to PUT it, in one piece. If you sent the file before, the answer is the
    complete upload.
    """
    upload = uploads.begin(announced)
    return JSONResponse(upload.model_dump(mode="json"), 201, {"Location": upload.urls.self})


@router.get("", responses=document())
def list_uploads(uploads: CallersUploads, cursor: PageCursor) -> Page[Upload]:
    """List your uploads, newest first."""
    return cursor.page(uploads.page(cursor.before, cursor.limit))


@router.get("/{upload_id}", responses=document(NotFound))
def get_upload(upload_id: str, uploads: CallersUploads) -> Upload:
    """Show an upload. While it is open, it has a new link to PUT the file to."""
    return uploads.get(upload_id)


@router.put(
    "/{upload_id}/content",
    responses=document(NotFound, Conflict, PayloadTooLarge),
    openapi_extra={"requestBody": {"content": ANY_BYTES, "required": True}},
)
async def put_content(upload_id: str, request: Request, uploads: CallersUploads) -> Upload:
    """Send the file's bytes through this server, if the object store has no links or you cannot reach it."""
    try:
        return await uploads.receive(upload_id, request.stream())
    except ClientDisconnect as error:
        raise InvalidInput("The connection ended before the file did.", hint="PUT the whole file again.") from error


@router.post("/{upload_id}/complete", responses=document(NotFound, Conflict, DatasetInvalid))
@lane("files")
def complete_upload(upload_id: str, sent: CompleteUpload, uploads: CallersUploads) -> Upload:
    """Check size and sha256 and keep the file. A mismatch is refused, and the upload stays open."""
    return uploads.complete(upload_id, sent.sha256)


@router.delete("/{upload_id}", status_code=204, response_class=Response, responses=document(NotFound, Conflict))
def delete_upload(upload_id: str, uploads: CallersUploads) -> None:
    """Delete an upload that no registered model or dataset uses."""
    uploads.delete(upload_id)
