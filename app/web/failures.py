"""Failures of a page are pages: what the API would answer as a problem, laid out for people."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.web.rendering import render_page
from microlith.contract import Problem

Handler = Callable[[Request, Exception], Response | Awaitable[Response]]


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer: a browser asks, for none of the API's paths."""
    asks = "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
    return asks and not request.scope["path"].startswith("/v1")


def install(app: FastAPI) -> None:
    """Show every failure that `app` knows to answer as a page, where a page was asked for."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _shown(cast(Handler, handler)))


def lead_to_sign_in(request: Request) -> Response | None:
    """Where a person without a session goes, to come back to the page that was asked for; None for a program."""
    if not wants_page(request):
        return None
    address = "/sign-in" if request.scope["path"] == "/" else f"/sign-in?next={quote(request.scope['path'])}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def error_page(request: Request, problem: Problem) -> Response:
    return render_page(request, "error.html", problem.status, problem=problem)


def _shown(handler: Handler) -> Handler:
    async def shown(request: Request, error: Exception) -> Response:
        answer = handler(request, error)
        answer = await answer if inspect.isawaitable(answer) else answer
        if not (wants_page(request) and isinstance(answer, JSONResponse)):
            return answer
        return error_page(request, Problem.model_validate(json.loads(bytes(answer.body))))

    return shown
