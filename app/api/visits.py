"""A plain `def` route is one visit to a thread: there it reads, decides, writes its answer out and commits.

So no connection is held while a request waits for something: it waits before it has a thread, and what it holds ends
with the visit. An `async def` route holds nothing: it asks services that make such visits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from fastapi import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.api.conditional import written
from app.api.dependencies import AnyBackend, RequestUnit
from app.services.lanes import LaneName

Route = TypeVar("Route", bound=Callable[..., Any])


def lane(name: LaneName) -> Callable[[Route], Route]:
    """Have the route's work done in this lane, not in that of its method: `reads` for GET, `writes` for the rest."""

    def marked(endpoint: Route) -> Route:
        endpoint.__dict__["lane"] = name
        return endpoint

    return marked


class Visit(APIRoute):
    """The class of all our routes."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            usual: LaneName = "reads" if {"GET", "HEAD"} & set(options.get("methods") or ()) else "writes"
            endpoint = _visiting(endpoint, endpoint.__dict__.get("lane", usual), options.get("status_code") or 200)
        super().__init__(path, endpoint, **options)


def _visiting(endpoint: Callable[..., Any], name: LaneName, status: int) -> Callable[..., Any]:
    """`endpoint`, done in its lane inside the request's unit of work."""

    @wraps(endpoint)
    async def visit(visit_unit: RequestUnit, visit_backend: AnyBackend, **arguments: Any) -> Response:
        def work() -> Response:
            with visit_backend.database.finishing(visit_unit):
                return _answer(endpoint(**arguments), status)

        answer: Response = await getattr(visit_backend.lanes, name).run(work)
        return answer

    own, asked = inspect.signature(endpoint), inspect.signature(visit, follow_wrapped=False)
    added = [
        asked.parameters[given].replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
        for given, annotation in (("visit_unit", RequestUnit), ("visit_backend", AnyBackend))
    ]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own.parameters.values()]
    visit.__signature__ = own.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    return visit


def _answer(found: Any, status: int) -> Response:
    """What a route returns, as it travels."""
    if isinstance(found, Response):
        return found
    return written(found, status) if isinstance(found, BaseModel) else Response(status_code=status)
