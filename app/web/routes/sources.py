"""Pages of models and datasets."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.api.dependencies import CallersLibrary
from app.api.threaded_routes import Visit, lane
from app.web.rendering import render_page
from app.web.views.sources import dataset_page, datasets_page, model_page, models_page

router = APIRouter(include_in_schema=False, route_class=Visit)

LISTED = 100


@router.get("/models")
def models(request: Request, library: CallersLibrary) -> Response:
    return render_page(request, "sources.html", shown=models_page(library.models(None, LISTED)))


@router.get("/datasets")
def datasets(request: Request, library: CallersLibrary) -> Response:
    return render_page(request, "sources.html", shown=datasets_page(library.datasets(None, LISTED)))


@router.get("/models/{ref:path}")
@lane("plans")
def model(request: Request, library: CallersLibrary, ref: str) -> Response:
    return render_page(request, "model.html", shown=model_page(library.model(ref)))


@router.get("/datasets/{ref:path}")
@lane("plans")
def dataset(request: Request, library: CallersLibrary, ref: str) -> Response:
    return render_page(request, "dataset.html", shown=dataset_page(library.dataset(ref)))


@router.post("/models/{model_id}/delete")
def delete_model(library: CallersLibrary, model_id: str) -> Response:
    library.delete("model", model_id)
    return RedirectResponse("/models", 303)


@router.post("/datasets/{dataset_id}/delete")
def delete_dataset(library: CallersLibrary, dataset_id: str) -> Response:
    library.delete("dataset", dataset_id)
    return RedirectResponse("/datasets", 303)
