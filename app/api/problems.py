"""Every error as `application/problem+json`, and the one place that renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.db.pool import DATABASE_AWAY, took_too_long
from app.domain.disk_faults import disk_fault
from app.domain.errors import (
    InvalidInput,
    MicrolithError,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    StorageUnavailable,
    Unauthenticated,
    Unavailable,
)
from microlith.contract import ErrorDetail, Problem
from microlith.contract.references import REFERENCE_FORMS

MEDIA_TYPE = "application/problem+json"
METHODS = ("DELETE", "GET", "HEAD", "POST", "PUT")

log = structlog.get_logger()


def render(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer that carries `problem`."""
    body = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, problem.status, dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: MicrolithError, request_id: str | None) -> Problem:
    """An error of ours as a problem; the part of the request at fault becomes its pointer."""
    return Problem(
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        hint=error.hint,
        request_id=request_id,
        errors=[ErrorDetail(pointer=error.pointer, detail=error.detail)] if error.pointer is not None else None,
    )


def headers_of(error: MicrolithError) -> dict[str, str]:
    """What the answer says besides its body."""
    return {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}


def documented(*errors: type[MicrolithError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of a route that may answer with these errors; a key and good sense are asked of every call."""
    return entries(*errors, Unauthenticated, InvalidInput, MicrolithError, Unavailable, StorageUnavailable, Overloaded)


def entries(*errors: type[MicrolithError]) -> dict[int | str, dict[str, Any]]:
    """The errors as an operation's responses, a status for all that share it."""
    statuses: dict[int, list[str]] = {}
    for error in errors:
        statuses.setdefault(error.status, []).append(error.code)
    return {
        str(status): {
            "description": ", ".join(dict.fromkeys(codes)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, codes in sorted(statuses.items())
    }


def install(app: FastAPI) -> None:
    """Teach `app` to answer every kind of failure as a problem."""
    app.add_exception_handler(MicrolithError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, _unstorable)
    for away in (*DATABASE_AWAY, PoolExhausted, OSError):
        app.add_exception_handler(away, _away)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    return _answer(request, _full(request, error) or cast(MicrolithError, error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    faults = details(cast(RequestValidationError, error))
    problem = Problem(
        title=InvalidInput.title,
        status=InvalidInput.status,
        code=InvalidInput.code,
        detail="; ".join(f"{e.pointer or '/'}: {e.detail}" for e in faults),
        hint="GET /v1/methods (`microlith methods`) gives every option with its schema and default.",
        errors=faults,
        request_id=_request_id(request),
    )
    return render(problem)


async def _away(request: Request, error: Exception) -> JSONResponse:
    """The database or the object store does not answer, or a disk is full; the caller may ask again."""
    if full := _full(request, error):
        return _answer(request, full)
    said = str(error).partition("\n")[0]
    log.warning("dependency_unreachable", request_id=_request_id(request), path=request.url.path, error=said)
    why = "needs too long for this" if took_too_long(error) else "or the object store does not answer"
    away = Unavailable(f"The database {why}.", hint="Ask again shortly, or ask for less. Nothing is lost.")
    return _answer(request, away)


async def _unstorable(request: Request, _error: Exception) -> JSONResponse:
    return _answer(request, InvalidInput("A text holds a character that cannot be stored, such as NUL."))


async def _http(request: Request, error: Exception) -> JSONResponse:
    """The framework's own refusals: an unknown path, a wrong method, a body that cannot be read."""
    refusal = cast(HTTPException, error)
    if refusal.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is not even text
        return _answer(request, InvalidInput("The body is not JSON.", pointer=""))
    code = {kind.status: kind.code for kind in (NotFound, PayloadTooLarge)}.get(refusal.status_code)
    phrase = HTTPStatus(refusal.status_code).phrase
    problem = Problem(
        title=phrase,
        status=refusal.status_code,
        detail=f"{request.method} {request.url.path}: {refusal.detail}.",
        code=code or phrase.upper().replace(" ", "_"),
        hint="GET /openapi.json lists every call.",
        request_id=_request_id(request),
    )
    headers = dict(refusal.headers or {})
    if refusal.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    return render(problem, headers)


def _allowed(request: Request) -> list[str]:
    """The methods that a route takes at this path; the framework names those of the first one alone."""
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    ]


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """Nothing of the fault but an id to find it by in the log."""
    if full := _full(request, error):
        return _answer(request, full)
    log.error("request_failed", request_id=_request_id(request), path=request.url.path, exc_info=error)
    hint = "The server's log has more under the request id."
    return _answer(request, MicrolithError("The server met an error it did not expect.", hint=hint))


def _full(request: Request, error: Exception) -> MicrolithError | None:
    """What to say where our own disk is at fault."""
    found = disk_fault(error, "The server")
    if found:
        log.error("disk_write_failed", request_id=_request_id(request), path=request.url.path, error=str(error))
    return found


def _answer(request: Request, error: MicrolithError) -> JSONResponse:
    return render(problem_of(error, _request_id(request)), headers_of(error))


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


def details(error: RequestValidationError) -> list[ErrorDetail]:
    """One entry per place; where a value may be one of several kinds, what each kind would have needed."""
    places: dict[str, list[str]] = {}
    for fault in error.errors():
        pointer = _pointer(fault["loc"], error.body)
        message = _in_words(fault)
        if message not in places.setdefault(pointer, []):
            places[pointer].append(message)
    return [ErrorDetail(pointer=pointer, detail="; or: ".join(texts)) for pointer, texts in places.items()]


def _in_words(fault: Mapping[str, Any]) -> str:
    """What pydantic says, but for a reference the forms there are instead of a regular expression."""
    forms = REFERENCE_FORMS.get(fault.get("ctx", {}).get("pattern", ""))
    return f"Should be {forms}" if forms else str(fault["msg"].removeprefix("Value error, "))


def _pointer(location: Sequence[int | str], body: object) -> str:
    """JSON Pointer into the body, without the names of union branches that stand between in pydantic's location."""
    kind, *parts = location
    if kind != "body":
        return "/" + "/".join(str(part) for part in parts)
    steps: list[str] = []
    here = body
    for at, part in enumerate(parts):
        inside = _inside(here, part)
        missing_field = isinstance(here, dict) and at == len(parts) - 1
        if inside or missing_field:
            steps.append(str(part).replace("~", "~0").replace("/", "~1"))
        if inside:
            here = here[part]  # type: ignore[index]
    return "".join(f"/{step}" for step in steps)


def _inside(value: object, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
