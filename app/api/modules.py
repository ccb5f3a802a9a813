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
from app.domain.errors import Conflict, NotFound, UnsupportedModel
from microlith.contract import Artifact, CombineSpec, Job, LayoutRequest, Module, PredictionRequest

router = APIRouter(prefix="/v1", responses=document(NotFound), route_class=Visit)


@router.get("/modules/{module_id}", response_model=Module, tags=["modules"])
async def get_module(module_id: str, watching: CallersWatching) -> Response:
    """A module with its measures beside the base's."""
    return send_json(await watching.modules(("module", module_id), lambda modules: modules.get(module_id)))


@router.post(
    "/modules/{module_id}/artifacts",
    status_code=202,
    response_model=Job,
    tags=["modules"],
    responses=document(NotFound, Conflict, UnsupportedModel),
)
def order_layout(module_id: str, layout: LayoutRequest, orders: CallersOrders) -> Response:
    """One more layout of a module: the job that makes it, or the one that has made it already.

    In the place of the module's id, that of a job that has made a class set stands for the class set.
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
    """A module and its base asked about texts: a job, whose `prediction` is the answer; 200 when it is over already."""
    job = await tries.ask(module_id, prediction, wait_preference(prefer))
    return JSONResponse(job.model_dump(mode="json"), 200 if job.finished else 202, {"Location": job.urls.self})


@router.post("/modules:combine", status_code=202, response_model=Job, tags=["modules"], responses=document())
def combine_modules(combination: CombineSpec, orders: CallersOrders) -> Response:
    """One classifier of several modules: a class set of one base, or recomposed across bases; it is a job too."""
    job = orders.combine(combination)
    return JSONResponse(job.model_dump(mode="json"), 202, {"Location": job.urls.self})


@router.get("/artifacts/{artifact_id}", tags=["artifacts"])
def get_artifact(artifact_id: str, artifacts: CallersArtifacts) -> Artifact:
    """A stored file: its size, digest and what it holds."""
    return artifacts.get(artifact_id)


@router.get("/artifacts/{artifact_id}/content", tags=["artifacts"], response_class=Response)
@lane("downloads")
def get_content(
    artifact_id: str,
    artifacts: CallersArtifacts,
    backend: AnyBackend,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The bytes, with `Range`; or 307 to where the object store serves them."""
    return send_content(artifacts.row(artifact_id), backend.objects, if_none_match)


@router.head("/artifacts/{artifact_id}/content", tags=["artifacts"], include_in_schema=False)
def head_content(artifact_id: str, artifacts: CallersArtifacts) -> Response:
    """What GET would send, without sending it; a presigned link cannot be asked this way."""
    return send_head(artifacts.row(artifact_id))
