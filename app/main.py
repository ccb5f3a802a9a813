"""The web service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI

import microlith
from app.api import catalog, health, jobs, modules, problems, uploads
from app.api.guards import Guards
from app.api.queries import check_query
from app.domain.errors import ForeignPage
from app.services.backend import Backend
from app.services.readiness import Readiness
from app.services.reaper import run_reaper
from app.services.signing_out import SignedOut
from app.settings import Settings
from app.web import failures, pages
from microlith.contract import Problem


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application on what `settings` name; opens its connections when it starts and closes them when it ends."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        backend = Backend.open(settings)
        app.state.backend = backend.for_requests()
        app.state.readiness = Readiness.of(backend)
        app.state.signed_out = SignedOut(app.state.backend.database)
        async with backend.feed.listen(), run_reaper(backend):
            yield
        await asyncio.gather(app.state.readiness.rest(), app.state.signed_out.rest(), app.state.backend.lanes.rest())
        app.state.backend.close()
        backend.close()

    app = FastAPI(
        title="Microlith",
        version=microlith.__version__,
        summary="Breaks a fine-tuned transformer classifier into small modules, one per concern.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,  # a page of ours, with a viewer that comes from no other host
        redoc_url=None,
    )
    for routes in (jobs, modules, uploads, catalog):
        app.include_router(routes.router, dependencies=[Depends(check_query)])
    app.include_router(health.router)
    problems.install(app)
    pages.install(app)
    _document_problems(app)
    app.add_middleware(Guards, settings=settings, lead_to_sign_in=failures.lead_to_sign_in)
    return app


def _document_problems(app: FastAPI) -> None:
    """Put what every route's errors share into the OpenAPI: their schema, and the refusal of another site's pages."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas.update(schema.pop("$defs", {}))
        schemas["Problem"] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].update(problems.entries(ForeignPage))
        return document

    app.openapi = openapi  # type: ignore[method-assign]
