"""Pages of modules, alone and beside one another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.dependencies import CallersJobs, CallersModules, CallersOrders
from app.api.threaded_routes import Visit, lane
from app.domain.errors import NotFound
from app.services.jobs import Jobs
from app.services.modules import ReadyModules
from app.web.dependencies import CallersGallery, FormPairs
from app.web.downloads import attach
from app.web.rendering import render_page
from app.web.views.compare import MAX_COMPARED, compare_page
from app.web.views.module import ModulePage, module_page
from app.web.views.tries import TypedTexts, try_page
from microlith.contract import LayoutRequest

router = APIRouter(include_in_schema=False, route_class=Visit)

Chosen = Annotated[list[str], Query(alias="module", max_length=MAX_COMPARED)]


@router.get("/modules/{module_id}")
@lane("bulk")
def module(request: Request, module_id: str, modules: CallersModules, jobs: CallersJobs) -> Response:
    shown = _shown(module_id, modules, jobs)
    typed = TypedTexts(text_pair="" if shown.reads_pairs else None)
    return render_page(request, "module.html", shown=shown, tried=try_page(shown.module, typed))


@router.get("/modules/{module_id}/charts/{name}.csv")
@lane("bulk")
def chart(module_id: str, name: str, modules: CallersModules, jobs: CallersJobs) -> Response:
    """The data of a table of the page."""
    sheet = _shown(module_id, modules, jobs).sheet(name)
    if sheet is None:
        raise NotFound(f"A module has no table {name!r}.", hint=f"/modules/{module_id} lists its tables.")
    return Response(sheet.csv(), media_type="text/csv; charset=utf-8", headers=attach(f"{module_id}-{name}.csv"))


@router.post("/modules/{module_id}/layouts")
def order_layout(module_id: str, orders: CallersOrders, pairs: FormPairs) -> Response:
    layout = LayoutRequest.model_validate({"layout": dict(pairs).get("layout")})
    return RedirectResponse(f"/jobs/{orders.layout(module_id, layout).id}", 303)


@router.get("/compare")
@lane("bulk")
def compare(request: Request, gallery: CallersGallery, chosen: Chosen = []) -> Response:  # noqa: B006 - FastAPI copies
    return render_page(request, "compare.html", shown=compare_page(gallery.jobs(chosen), chosen))


@router.get("/compare.csv")
@lane("bulk")
def compared(gallery: CallersGallery, chosen: Chosen = []) -> Response:  # noqa: B006
    sheet = compare_page(gallery.jobs(chosen), chosen).sheet
    if sheet is None:
        raise NotFound("No module was chosen.", hint="Choose modules at /compare.")
    return Response(sheet.csv(), media_type="text/csv; charset=utf-8", headers=attach("comparison.csv"))


def _shown(module_id: str, modules: ReadyModules, jobs: Jobs) -> ModulePage:
    module = modules.get(module_id)
    return module_page(module, jobs.get(module.job_id), modules.results(module.job_id))
