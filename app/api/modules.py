"""Routes of modules and artifacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from app.api.conditional import send_json, wait_preference
from app.api.content import send_content, send_head
from app.api.dependencies import AnyBackend, CallersArtifacts, CallersOrders, CallersTries, CallersWatching
from app.api.problems import document
from app.api.threaded_routes import Visit, lane
from app.domain.errors import Conflict, DatasetInvalid, NotFound, SourceUnavailable, UnknownLabels, UnsupportedModel
from microlith.contract import Artifact, CombineSpec, Job, LayoutRequest, Module, PredictionRequest

router = APIRouter(prefix="/v1", responses=document(NotFound), route_class=Visit)


@router.get("/modules/{module_id}", response_model=Module, tags=["modules"])
async def get_module(module_id: str, watching: CallersWatching) -> Response:
    """Show a module with its measures beside the base's."""
    return send_json(await watching.modules(("module", module_id), lambda modules: modules.get(module_id)))


@router.post(
    "/modules/{module_id}/artifacts",
    status_code=202,
    response_model=Job,
    tags=["modules"],
    responses=document(NotFound, Conflict, UnsupportedModel),
)
def order_layout(module_id: str, layout: LayoutRequest, orders: CallersOrders) -> Response:
    """Make one more layout of a module. The answer is the job that makes it, or the one that has made it. For a
    class set, use the id of the job that made it instead of a module's id.
    """
    job = orders.layout(module_id, layout)
    return JSONResponse(job.model_dump(mode="json"), 202, {"Location": job.urls.self})


@router.post(
    "/modules/{module_id}/predictions",
    status_code=202,
    response_model=Job,
    tags=["modules"],
    responses=document(NotFound, Conflict, UnsupportedModel) | {200: {"model": Job}},
)
async def try_module(
    module_id: str,
    prediction: PredictionRequest,
    tries: CallersTries,
    prefer: Annotated[
        str | None, Header(description="`wait=N`: answer when the job is over, or after N ≤ 60 s.")
    ] = None,
) -> Response:
    """Try a module and its base on texts. The answer is a job whose `prediction` has the results. The status is 200 if
    the job is already over.
    """
    job = await tries.ask(module_id, prediction, wait_preference(prefer))
    return JSONResponse(job.model_dump(mode="json"), 200 if job.finished else 202, {"Location": job.urls.self})


@router.post(
    "/modules:combine",
    status_code=202,
    response_model=Job,
    tags=["modules"],
    responses=document(DatasetInvalid, SourceUnavailable, UnknownLabels, UnsupportedModel),
)
@lane("plans")
def combine_modules(combination: CombineSpec, orders: CallersOrders) -> Response:
    """Combine modules into one classifier: a class set of one base, or a recomposition of several bases. The answer is
    a job.
    """
    job = orders.combine(combination)
    return JSONResponse(job.model_dump(mode="json"), 202, {"Location": job.urls.self})


@router.get("/artifacts/{artifact_id}", tags=["artifacts"])
def get_artifact(artifact_id: str, artifacts: CallersArtifacts) -> Artifact:
    """Show a stored file: its size, its digest and the files in it."""
    return artifacts.get(artifact_id)


@router.get("/artifacts/{artifact_id}/content", tags=["artifacts"], response_class=Response)
@lane("downloads")
def get_content(
    artifact_id: str,
    artifacts: CallersArtifacts,
    backend: AnyBackend,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Download the bytes, also with `Range`; or 307 to the address where the object store has them."""
    return send_content(artifacts.row(artifact_id), backend.objects, if_none_match)


@router.head("/artifacts/{artifact_id}/content", tags=["artifacts"], include_in_schema=False)
def head_content(artifact_id: str, artifacts: CallersArtifacts) -> Response:
    """The headers of GET, without the bytes. A presigned link does not support this."""
    return send_head(artifacts.row(artifact_id))
