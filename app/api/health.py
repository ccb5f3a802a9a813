"""Routes an operator watches."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import microlith
from app.api.dependencies import AnyBackend

router = APIRouter(tags=["health"])


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok", "version": microlith.__version__}


@router.get("/readyz", responses={503: {"description": "A part this server needs is away"}})
def readyz(backend: AnyBackend) -> JSONResponse:
    """Database, migrations, broker and object store answer; 503 with each part's fault when one does not."""
    checks = backend.check()
    ready = all(state == "ok" for state in checks.values())
    return JSONResponse({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)


@router.get("/metrics", response_class=Response)
def metrics() -> Response:
    """Prometheus metrics of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
