"""What a route asks for in its signature.

What waits for nothing is `async`, so that it is done at once: anything else costs the way to a thread and back.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from fastapi import Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from app.api.event_stream import HIGHEST, LAST_EVENT
from app.api.pagination import MAX_LIMIT, Cursor
from app.db.jobs import JobFilter
from app.db.unit import Unit
from app.services.artifacts import Artifacts
from app.services.backend import Backend
from app.services.jobs import Jobs
from app.services.modules import ReadyModules
from app.services.orders import Orders
from app.services.registry import Library
from app.services.tries import Tries
from app.services.uploads import Uploads
from app.services.watching import Watching
from microlith.contract import Kind, State
from microlith.contract.spec import JobLabels

LABELS: TypeAdapter[dict[str, str]] = TypeAdapter(JobLabels)


async def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


async def _caller(request: Request) -> str:
    owner: str = request.state.owner
    return owner


AnyBackend = Annotated[Backend, Depends(_backend)]
Caller = Annotated[str, Depends(_caller)]


async def _unit(backend: AnyBackend) -> Unit:
    return backend.database.begun()


RequestUnit = Annotated[Unit, Depends(_unit)]
"""Finished by the route's visit to a thread, before the answer leaves: a GET right after finds what it says."""


async def _jobs(unit: RequestUnit, caller: Caller, backend: AnyBackend) -> Jobs:
    return Jobs(unit, caller, backend)


async def _modules(unit: RequestUnit, caller: Caller) -> ReadyModules:
    return ReadyModules(unit, caller)


async def _orders(unit: RequestUnit, caller: Caller, backend: AnyBackend) -> Orders:
    return Orders(unit, caller, backend)


async def _tries(backend: AnyBackend, caller: Caller) -> Tries:
    return Tries(backend, caller)


async def _artifacts(unit: RequestUnit, caller: Caller) -> Artifacts:
    return Artifacts(unit, caller)


async def _uploads(backend: AnyBackend, caller: Caller) -> Uploads:
    return Uploads(backend, caller)


async def _library(backend: AnyBackend, caller: Caller) -> Library:
    return Library(backend, caller)


async def _watching(backend: AnyBackend, caller: Caller) -> Watching:
    return Watching(backend, caller)


def _written_out(time: Any) -> Any:
    if isinstance(time, str) and not WRITTEN_TIME.match(time):
        raise ValueError("write a time as 2026-11-01T12:00:00Z")  # a number would be taken for seconds since 1970
    return time


WRITTEN_TIME = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

Moment = Annotated[
    datetime,
    BeforeValidator(_written_out),
    AfterValidator(lambda time: time if time.tzinfo else time.replace(tzinfo=UTC)),
]
"""A time; one that names no zone is UTC, as those that we answer are."""


Named = Annotated[str, Field(max_length=512)]


class JobQuery(BaseModel):
    """What the query of a list of jobs may say."""

    by_key: ClassVar = ("label.KEY",)
    """What it may say once for each key, besides."""

    kind: Kind | None = Field(None, description="Without it, the list has jobs of every kind except `predict`.")
    state: State | None = None
    model: Named | None = None
    dataset: Named | None = None
    method: Named | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


async def _job_filter(request: Request, named: Annotated[JobQuery, Query()]) -> JobFilter:
    """Every `label.KEY=VALUE` in the query must match; there may be as many as a job may have."""
    sent = {
        key.removeprefix("label."): value for key, value in request.query_params.items() if key.startswith("label.")
    }
    try:
        labels = LABELS.validate_python(sent)
    except ValidationError as error:
        faults = [{**fault, "loc": ("query", "label", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
    return JobFilter(**named.model_dump(), labels=labels)


CallersJobs = Annotated[Jobs, Depends(_jobs)]
CallersModules = Annotated[ReadyModules, Depends(_modules)]
CallersOrders = Annotated[Orders, Depends(_orders)]
CallersTries = Annotated[Tries, Depends(_tries)]
CallersArtifacts = Annotated[Artifacts, Depends(_artifacts)]
CallersUploads = Annotated[Uploads, Depends(_uploads)]
CallersLibrary = Annotated[Library, Depends(_library)]
CallersWatching = Annotated[Watching, Depends(_watching)]
WantedJobs = Annotated[JobFilter, Depends(_job_filter)]
PageCursor = Annotated[Cursor, Depends(Cursor.from_query)]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
PageLimit = Annotated[int, Query(ge=1), AfterValidator(lambda limit: min(limit, MAX_LIMIT))]
AfterSeq = Annotated[
    int,
    Query(ge=0, le=HIGHEST, description="Only events with a higher number."),
    AfterValidator(lambda after: min(after, LAST_EVENT)),
]
