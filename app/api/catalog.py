"""Routes that tell what a job can be built from, and take what callers bring."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from app.api.conditional import written
from app.api.dependencies import CallersLibrary, PageCursor
from app.api.problems import documented
from app.api.threaded_routes import Visit, lane
from app.domain.errors import (
    Conflict,
    DatasetInvalid,
    NotFound,
    ResourceLimit,
    SourceUnavailable,
    UnsafeModel,
    UnsupportedModel,
)
from app.services import catalog
from microlith.contract import DatasetInfo, Methods, ModelInfo, Page, RegisterDataset, RegisterModel

router = APIRouter(prefix="/v1", tags=["catalog"], route_class=Visit)


@router.get("/methods", response_model=Methods, responses=documented())
async def get_methods() -> Response:
    """List every method, structure and option, with its JSON Schema, its default and a sentence about it."""
    return written(catalog.methods())


@router.post(
    "/models",
    status_code=201,
    response_model=ModelInfo,
    responses=documented(Conflict, ResourceLimit, SourceUnavailable, UnsafeModel, UnsupportedModel),
)
@lane("files")
def register_model(wanted: RegisterModel, library: CallersLibrary) -> Response:
    """Register a model under an id: an upload (zip, tar or tar.gz of a Hugging Face model folder) or a name on the
    hub.
    """
    model = library.register_model(wanted)
    return JSONResponse(model.model_dump(mode="json"), 201, {"Location": f"/v1/models/{model.id}"})


@router.get("/models", responses=documented())
def list_models(library: CallersLibrary, cursor: PageCursor) -> Page[ModelInfo]:
    """List your registered models, newest first, then those that come with the server. Labels and layers are left
    out.
    """
    return cursor.page(library.models(cursor.before, cursor.limit))


@router.get(
    "/models/{ref:path}",
    responses=documented(NotFound, ResourceLimit, SourceUnavailable, UnsafeModel, UnsupportedModel),
)
@lane("plans")
def get_model(ref: str, library: CallersLibrary) -> ModelInfo:
    """Show a model by id or reference: its labels, and every layer that can be pruned."""
    return library.model(ref)


@router.delete("/models/{ref:path}", status_code=204, response_class=Response, responses=documented(NotFound))
def delete_model(ref: str, library: CallersLibrary) -> None:
    """Delete a registered model and its upload. Jobs keep their results. A job that has not started yet fails."""
    library.delete("model", ref)


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetInfo,
    responses=documented(Conflict, ResourceLimit, SourceUnavailable, DatasetInvalid),
)
@lane("files")
def register_dataset(wanted: RegisterDataset, library: CallersLibrary) -> Response:
    """Register a dataset under an id: an upload (Parquet, CSV, JSON Lines, or an archive with a file per split) or a
    hub name.
    """
    dataset = library.register_dataset(wanted)
    return JSONResponse(dataset.model_dump(mode="json"), 201, {"Location": f"/v1/datasets/{dataset.id}"})


@router.get("/datasets", responses=documented())
def list_datasets(library: CallersLibrary, cursor: PageCursor) -> Page[DatasetInfo]:
    """List your registered datasets, newest first, then those that come with the server. Columns and labels are left
    out.
    """
    return cursor.page(library.datasets(cursor.before, cursor.limit))


@router.get("/datasets/{ref:path}", responses=documented(NotFound, ResourceLimit, SourceUnavailable, DatasetInvalid))
@lane("plans")
def get_dataset(ref: str, library: CallersLibrary) -> DatasetInfo:
    """Show a dataset by id or reference: its splits, its columns and the number of each label."""
    return library.dataset(ref)


@router.delete("/datasets/{ref:path}", status_code=204, response_class=Response, responses=documented(NotFound))
def delete_dataset(ref: str, library: CallersLibrary) -> None:
    """Delete a registered dataset and its upload. Jobs keep their results. A job that has not started yet fails."""
    library.delete("dataset", ref)
