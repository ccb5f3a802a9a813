"""Every error as `application/problem+json`, and the one place that renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from app.domain.errors import InvalidInput, MicrolithError, NotFound, PayloadTooLarge, Unauthenticated
from microlith.contract import ErrorDetail, Problem

MEDIA_TYPE = "application/problem+json"

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


def documented(*errors: type[MicrolithError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of a route that may answer with these errors; a key and good sense are asked of every call."""
    possible: list[type[MicrolithError]] = [*errors, Unauthenticated, InvalidInput, MicrolithError]
    statuses: dict[int, list[str]] = {}
    for error in possible:
        statuses.setdefault(error.status, []).append(error.code)
    return {
        status: {
            "description": ", ".join(dict.fromkeys(codes)),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, codes in sorted(statuses.items())
    }


def install(app: FastAPI) -> None:
    """Teach `app` to answer every kind of failure as a problem."""

    @app.exception_handler(MicrolithError)
    def ours(request: Request, error: MicrolithError) -> JSONResponse:
        return render(problem_of(error, _request_id(request)))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        details = _details(error)
        problem = Problem(
            title=InvalidInput.title,
            status=InvalidInput.status,
            code=InvalidInput.code,
            detail="; ".join(f"{e.pointer or '/'}: {e.detail}" for e in details),
            hint="GET /v1/methods gives every option with its schema and default.",
            errors=details,
            request_id=_request_id(request),
        )
        return render(problem)

    @app.exception_handler(DataError)
    def unstorable(request: Request, _error: DataError) -> JSONResponse:
        ours = InvalidInput("A text holds a character that cannot be stored, such as NUL.")
        return render(problem_of(ours, _request_id(request)))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that is not even text
            ours = InvalidInput("The body is not JSON.", pointer="")
            return render(problem_of(ours, _request_id(request)))
        code = {kind.status: kind.code for kind in (NotFound, PayloadTooLarge)}.get(error.status_code)
        phrase = HTTPStatus(error.status_code).phrase
        problem = Problem(
            title=phrase,
            status=error.status_code,
            detail=f"{request.method} {request.url.path}: {error.detail}.",
            code=code or phrase.upper().replace(" ", "_"),
            hint="GET /openapi.json lists every call.",
            request_id=_request_id(request),
        )
        return render(problem, error.headers)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        request_id = _request_id(request)
        log.error("request_failed", request_id=request_id, path=request.url.path, exc_info=error)
        ours = MicrolithError(
            "The server met an error it did not expect.", hint="Its log has more under the request id."
        )
        return render(problem_of(ours, request_id))


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


def _details(error: RequestValidationError) -> list[ErrorDetail]:
    """One entry per place; where a value may be one of several kinds, what each kind would have needed."""
    places: dict[str, list[str]] = {}
    for fault in error.errors():
        pointer = _pointer(fault["loc"], error.body)
        message = fault["msg"].removeprefix("Value error, ")
        if message not in places.setdefault(pointer, []):
            places[pointer].append(message)
    return [ErrorDetail(pointer=pointer, detail="; or: ".join(texts)) for pointer, texts in places.items()]


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
