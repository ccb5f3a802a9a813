"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from app.api import event_stream
from app.api.conditional import answer, etag_of, matches, send_json, wait_preference, write_json
from app.api.dependencies import (
    AfterSeq,
    CallersJobs,
    CallersWatching,
    IdempotencyKey,
    PageCursor,
    PageLimit,
    WantedJobs,
)
from app.api.problems import document
from app.api.threaded_routes import Visit, lane
from app.domain.errors import (
    Conflict,
    DatasetInvalid,
    IdempotencyInFlight,
    IdempotencyMismatch,
    NoMatchingLayers,
    NotEnoughSamples,
    NotEnoughTexts,
    NotFound,
    PayloadTooLarge,
    SourceUnavailable,
    UnknownLabels,
    UnsafeModel,
    UnsupportedModel,
)
from app.services.jobs import Submission
from app.services.results_table import results_csv
from microlith.contract import Event, Job, JobSpec, Module, Page, Plan, Results

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=Visit)

RawNames = Annotated[
    bool,
    Query(
        description="Leave names unchanged. Otherwise a name that a spreadsheet would run gets an apostrophe in front."
    ),
]

BAD_SPECS = (
    DatasetInvalid,
    IdempotencyMismatch,
    NoMatchingLayers,
    NotEnoughSamples,
    NotEnoughTexts,
    SourceUnavailable,
    UnknownLabels,
    UnsafeModel,
    UnsupportedModel,
)


@router.post(
    "",
    status_code=202,
    response_model=Job,
    responses=document(IdempotencyInFlight, PayloadTooLarge, *BAD_SPECS) | {200: {"model": Plan}},
)
@lane("plans")
def submit_job(
    spec: JobSpec, jobs: CallersJobs, validate_only: bool = False, idempotency_key: IdempotencyKey = None
) -> Response:
    """Submit a decomposition. With `validate_only` nothing is queued, and the answer is the plan."""
    if validate_only:
        return write_json(jobs.plan(spec))
    job = jobs.submit(Submission(spec, idempotency_key))
    return write_json(job, 202, {"Location": job.urls.self})


@router.get("", response_model=Page[Job], responses=document())
async def list_jobs(watching: CallersWatching, job_filter: WantedJobs, cursor: PageCursor) -> Response:
    """List your jobs, newest first. `label.KEY=VALUE` lists only jobs with this label."""
    return write_json(cursor.page(await watching.page(job_filter, cursor.before, cursor.limit)))


@router.get("/{job_id}", response_model=Job, responses=document(NotFound) | {304: {"description": "Not changed"}})
async def get_job(
    job_id: str,
    watching: CallersWatching,
    prefer: Annotated[
        str | None, Header(description="`wait=N`: answer at the first change, or after N ≤ 60 s.")
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Show a job. With `Prefer: wait=N`, wait for its first change, counted from the version of `If-None-Match` or else
    from now.
    """
    known = (lambda job: matches(if_none_match, etag_of(job))) if if_none_match else (lambda _: True)
    return answer(await watching.job(job_id, wait_preference(prefer), known), if_none_match)


@router.post("/{job_id}/cancel", status_code=202, responses=document(NotFound, Conflict))
def cancel_job(job_id: str, jobs: CallersJobs) -> Job:
    """Stop a job: a queued one at once, a running one at the worker's next checkpoint."""
    return jobs.cancel(job_id)


@router.post("/{job_id}/retry", status_code=202, responses=document(NotFound, Conflict))
def retry_job(job_id: str, jobs: CallersJobs) -> Job:
    """Queue a failed, cancelled or expired job again. Its published modules are kept."""
    return jobs.retry(job_id)


@router.post("/{job_id}/repair", status_code=202, responses=document(NotFound, Conflict))
def repair_job(job_id: str, jobs: CallersJobs) -> Job:
    """Check every stored file of a finished job, and make damaged or missing ones again."""
    return jobs.repair(job_id)


@router.delete("/{job_id}", status_code=204, responses=document(NotFound, Conflict))
def delete_job(job_id: str, jobs: CallersJobs) -> None:
    """Delete a finished job with its modules and artifacts."""
    jobs.delete(job_id)


@router.get(
    "/{job_id}/events",
    response_model=Page[Event],
    responses=document(NotFound) | {200: {"content": {event_stream.MEDIA_TYPE: {}}}},
)
async def job_events(
    job_id: str,
    request: Request,
    watching: CallersWatching,
    after: AfterSeq = 0,
    limit: PageLimit = 100,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Read the job's history: a page of JSON, or with `Accept: text/event-stream` a stream that ends with the job."""
    if event_stream.MEDIA_TYPE not in request.headers.get("accept", ""):
        return answer(await watching.history(job_id, after, limit))
    start = event_stream.resume_after(last_event_id, after)
    await watching.job(job_id)
    return event_stream.stream(watching.events(job_id, start))


@router.get("/{job_id}/modules", response_model=Page[Module], responses=document(NotFound))
async def job_modules(job_id: str, watching: CallersWatching, cursor: PageCursor) -> Response:
    """List the modules that are ready."""
    return send_json(
        await watching.modules(
            ("modules", job_id, cursor),
            lambda modules: cursor.page(modules.page(job_id, cursor.before, cursor.limit)),
        )
    )


@router.get("/{job_id}/results", response_model=Results, responses=document(NotFound))
async def job_results(job_id: str, watching: CallersWatching) -> Response:
    """Show the base's report, every module that is ready, and how they compare."""
    return send_json(await watching.modules(("results", job_id), lambda modules: modules.results(job_id)))


@router.get(
    "/{job_id}/results.csv",
    response_class=Response,
    responses=document(NotFound) | {200: {"content": {"text/csv": {}}}},
)
async def job_results_csv(job_id: str, watching: CallersWatching, raw: RawNames = False) -> Response:
    """`class,precision,recall,f1-score,support`, row i from module i."""
    table = await watching.modules(
        ("table", job_id, raw), lambda modules: results_csv(modules.results(job_id), raw=raw)
    )
    return Response(table, media_type="text/csv; charset=utf-8")
