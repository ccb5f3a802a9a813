"""Routes of modules and artifacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.api.content import content, head
from app.api.dependencies import AnyBackend, CallersArtifacts, CallersModules
from app.api.problems import documented
from app.domain.errors import NotFound
from microlith.contract import Artifact, Module

router = APIRouter(prefix="/v1", responses=documented(NotFound))


@router.get("/modules/{module_id}", tags=["modules"])
def get_module(module_id: str, modules: CallersModules) -> Module:
    """A module with its measures beside the base's."""
    return modules.get(module_id)


@router.get("/artifacts/{artifact_id}", tags=["artifacts"])
def get_artifact(artifact_id: str, artifacts: CallersArtifacts) -> Artifact:
    """A stored file: its size, digest and what it holds."""
    return artifacts.get(artifact_id)


@router.get("/artifacts/{artifact_id}/content", tags=["artifacts"], response_class=Response)
def get_content(
    artifact_id: str,
    artifacts: CallersArtifacts,
    backend: AnyBackend,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The bytes, with `Range`; or 307 to where the object store serves them."""
    return content(artifacts.row(artifact_id), backend.objects, if_none_match)


@router.head("/artifacts/{artifact_id}/content", tags=["artifacts"], include_in_schema=False)
def head_content(artifact_id: str, artifacts: CallersArtifacts) -> Response:
    """What GET would send, without sending it; a presigned link cannot be asked this way."""
    return head(artifacts.row(artifact_id))
