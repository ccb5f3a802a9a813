"""Routes that tell what a job can be built from."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.dependencies import AnyBackend
from app.api.problems import documented
from app.domain.errors import DatasetInvalid, NotFound, SourceUnavailable, UnsafeModel, UnsupportedModel
from app.services import catalog
from microlith.contract import DatasetInfo, Methods, ModelInfo, Page

router = APIRouter(prefix="/v1", tags=["catalog"])


@router.get("/methods", responses=documented())
def get_methods() -> Methods:
    """Every method, structure and option, with its JSON Schema, its default and a sentence."""
    return catalog.methods()


@router.get("/models", responses=documented())
def list_models() -> Page[ModelInfo]:
    """The models that come with the server."""
    return Page(data=catalog.models())


@router.get("/models/{ref:path}", responses=documented(NotFound, SourceUnavailable, UnsafeModel, UnsupportedModel))
def get_model(ref: str, backend: AnyBackend) -> ModelInfo:
    """A model by reference: its labels, and every layer that can be pruned."""
    return catalog.model(ref, allow_paths=backend.settings.allow_paths)


@router.get("/datasets", responses=documented())
def list_datasets() -> Page[DatasetInfo]:
    """The datasets that come with the server."""
    return Page(data=catalog.datasets())


@router.get("/datasets/{ref:path}", responses=documented(NotFound, SourceUnavailable, DatasetInvalid))
def get_dataset(ref: str, backend: AnyBackend) -> DatasetInfo:
    """A dataset by reference: its splits, columns and how many of each label."""
    return catalog.dataset(ref, allow_paths=backend.settings.allow_paths)
