"""Everything a browser is served besides the API."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.web import failures
from app.web.rendering import HEADERS, STATIC, render_page
from app.web.routes import drafts, jobs, modules, sessions, sources, tries

router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    """Static files, whose addresses change with their content; fonts are named by style sheets and never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        lasting = bool(scope["query_string"]) or path.endswith(".woff2")
        kept = "public, max-age=31536000, immutable" if lasting else "no-cache"
        response.headers.update(HEADERS | {"Cache-Control": kept})
        return response


def install(app: FastAPI) -> None:
    """Add the pages to `app`. Its handlers of failures must be there already: they are shown as pages too."""
    for routes in (drafts, jobs, modules, sessions, sources, tries):
        app.include_router(routes.router)
    app.include_router(router)
    app.mount("/static", _Files(directory=STATIC), name="static")
    failures.install(app)


@router.get("/docs")
def api_reference(request: Request) -> Response:
    return render_page(request, "docs.html")
