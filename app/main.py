"""The web service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import microlith
from app.api import catalog, health, jobs, modules, problems, uploads
from app.api.guards import Guards
from app.services.backend import Backend
from app.services.reaper import reaping
from app.settings import Settings
from app.web import pages
from microlith.contract import Problem


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application on what `settings` name; opens its connections when it starts and closes them when it ends."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.backend = Backend.open(settings)
        async with app.state.backend.feed.listening(), reaping(app.state.backend):
            yield
        app.state.backend.close()

    app = FastAPI(
        title="Microlith",
        version=microlith.__version__,
        summary="Breaks a fine-tuned transformer classifier into small modules, one per concern.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        docs_url=None,  # a page of ours, with a viewer that comes from no other host
        redoc_url=None,
    )
    for routes in (jobs, modules, uploads, catalog, health):
        app.include_router(routes.router)
    problems.install(app)
    pages.install(app)
    _document_problem(app)
    app.add_middleware(Guards, settings=settings)
    return app


def _document_problem(app: FastAPI) -> None:
    """Put the Problem schema, which every route's errors refer to, into the OpenAPI."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas.update(schema.pop("$defs", {}))
        schemas["Problem"] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
