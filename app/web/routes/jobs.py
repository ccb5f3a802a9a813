"""Pages of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.dependencies import CallersJobs, CallersModules, PageCursor
from app.api.threaded_routes import Visit, lane
from app.db.jobs import JobFilter
from app.domain.errors import NotFound
from app.web.downloads import attach
from app.web.rendering import render_page
from app.web.views.job import job_page
from app.web.views.jobs import jobs_page
from app.web.views.report import View, sheet_of

router = APIRouter(include_in_schema=False, route_class=Visit)


Sent = Annotated[str, Query(max_length=512)]


async def _wanted(
    state: Sent = "", model: Sent = "", dataset: Sent = "", method: Sent = "", label: Sent = ""
) -> JobFilter:
    """A form sends empty fields too; a label is written KEY=VALUE."""
    key, _, value = label.partition("=")
    labels = {key.strip(): value.strip()} if key.strip() else {}
    return JobFilter(
        state=state or None, model=model or None, dataset=dataset or None, method=method or None, labels=labels
    )


async def _view(sort: str = "", order: str = "", ratio: float | None = None, module: str | None = None) -> View:
    return View(sort, order == "desc", ratio, module)


Wanted = Annotated[JobFilter, Depends(_wanted)]
Looked = Annotated[View, Depends(_view)]


@router.get("/")
def jobs(request: Request, jobs: CallersJobs, job_filter: Wanted, cursor: PageCursor) -> Response:
    job_page = cursor.page(jobs.page(job_filter, cursor.before, cursor.limit))
    return render_page(
        request, "jobs.html", shown=jobs_page(job_page, job_filter, request.query_params.get("cursor", ""))
    )


@router.get("/jobs/{job_id}")
@lane("bulk")
def job(request: Request, job_id: str, jobs: CallersJobs, modules: CallersModules, view: Looked) -> Response:
    shown = job_page(jobs.get(job_id), modules.results(job_id), jobs.milestones(job_id), view)
    return render_page(request, "job.html", shown=shown, view=view)


@router.get("/jobs/{job_id}/charts/{name}.csv")
@lane("bulk")
def chart(job_id: str, name: str, modules: CallersModules, view: Looked) -> Response:
    """The data of a chart as the page shows it."""
    sheet = sheet_of(modules.results(job_id), view, name)
    if sheet is None:
        raise NotFound(f"The job has no chart {name!r} yet.", hint=f"/jobs/{job_id} lists its charts.")
    return Response(sheet.csv(), media_type="text/csv; charset=utf-8", headers=attach(f"{job_id}-{name}.csv"))


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: str, jobs: CallersJobs) -> Response:
    jobs.cancel(job_id)
    return _back(job_id)


@router.post("/jobs/{job_id}/retry")
def retry(job_id: str, jobs: CallersJobs) -> Response:
    jobs.retry(job_id)
    return _back(job_id)


@router.post("/jobs/{job_id}/repair")
def repair(job_id: str, jobs: CallersJobs) -> Response:
    jobs.repair(job_id)
    return _back(job_id)


@router.post("/jobs/{job_id}/delete")
def delete(job_id: str, jobs: CallersJobs) -> Response:
    jobs.delete(job_id)
    return RedirectResponse("/", 303)


def _back(job_id: str) -> Response:
    """To the job's page, which a reload then asks for without acting again."""
    return RedirectResponse(f"/jobs/{job_id}", 303)
