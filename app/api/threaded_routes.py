"""A plain `def` route is one visit to a thread: there it reads, decides, writes its answer out and commits.

So no connection is held while a request waits for something: it waits before it has a thread, and what it holds ends
with the visit. An `async def` route holds nothing: it asks services that make such visits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.api.conditional import write_json
from app.api.dependencies import AnyBackend, RequestUnit
from app.api.queries import parameters_of
from app.services.lanes import Lane, LaneName

Route = TypeVar("Route", bound=Callable[..., Any])

SHARED: frozenset[LaneName] = frozenset({"looks", "reads", "bulk"})
"""Lanes of routes that only look, and whose answers are bytes at hand."""


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

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names that its query may have."""
        return parameters_of(self.dependant)


def _visiting(endpoint: Callable[..., Any], name: LaneName, status: int) -> Callable[..., Any]:
    """`endpoint`, done in its lane inside the request's unit of work. Who looks at the same shares a look."""
    own = inspect.signature(endpoint)

    @wraps(endpoint)
    async def visit(request: Request, visit_unit: RequestUnit, visit_backend: AnyBackend, **asked: Any) -> Response:
        arguments = asked | {"request": request} if "request" in own.parameters else asked

        def work() -> Response:
            with visit_backend.database.finishing(visit_unit):
                return _answer(endpoint(**arguments), status)

        lane: Lane = getattr(visit_backend.lanes, name)
        if name not in SHARED:
            return await lane.run(_about(request), work)
        return _copied(await lane.share(_about(request), work))

    ours = inspect.signature(visit, follow_wrapped=False).parameters
    added = {"request": Request, "visit_unit": RequestUnit, "visit_backend": AnyBackend}
    parameters = {one.name: one for one in own.parameters.values()} | {
        given: ours[given].replace(annotation=annotation) for given, annotation in added.items()
    }
    every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters.values()]
    visit.__signature__ = own.replace(parameters=every)  # type: ignore[attr-defined]
    return visit


def _about(request: Request) -> tuple[str, ...]:
    """All that an answer to somebody who only looks depends on."""
    said = (request.headers.get(name, "") for name in ("if-none-match", "hx-request", "host"))
    return (request.state.owner, request.method, str(request.url), *said)


def _answer(returned: Any, status: int) -> Response:
    """What a route returns, as it travels."""
    if isinstance(returned, Response):
        return returned
    return write_json(returned, status) if isinstance(returned, BaseModel) else Response(status_code=status)


def _copied(shared: Response) -> Response:
    """An answer to one of several: what is written on its head on the way out is that one's."""
    answer = Response(shared.body, shared.status_code)
    answer.raw_headers = list(shared.raw_headers)
    return answer
