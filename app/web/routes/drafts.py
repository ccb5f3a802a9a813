"""The form of a new job."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.api.threaded_routes import Visit, lane
from app.web.dependencies import CallersDrafts, FormPairs
from app.web.rendering import render_page
from app.web.views.form import FormPage

router = APIRouter(include_in_schema=False, route_class=Visit)


@router.get("/jobs/new")
@lane("plans")
def new_job(request: Request, drafts: CallersDrafts, model: str = "", dataset: str = "", again: str = "") -> Response:
    """The demo is the first choice, unless another model or an earlier job is named."""
    spec = {"model": model or "demo:bert-tiny-wordnet", "dataset": dataset or "demo:wordnet-supersense"}
    return render_page(request, "new.html", shown=drafts.again(again) if again else drafts.form(spec))


@router.post("/jobs/plan")
@lane("plans")
def plan(request: Request, drafts: CallersDrafts, pairs: FormPairs) -> Response:
    return render_page(request, "new.html", shown=drafts.planned(pairs))


@router.post("/jobs")
@lane("plans")
def submit(request: Request, drafts: CallersDrafts, pairs: FormPairs) -> Response:
    made = drafts.submit(pairs)
    if isinstance(made, FormPage):
        return render_page(request, "new.html", 422, shown=made)
    return RedirectResponse(f"/jobs/{made.id}", 303)
