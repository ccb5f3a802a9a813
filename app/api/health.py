"""Routes an operator watches. They are answered by the event loop, so that they answer when nothing else does."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import microlith
from app.services.readiness import Readiness

router = APIRouter(tags=["health"])

MEASURED_SECONDS = 1.0
"""How old metrics may be: writing them down is work that everybody else waits for."""


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer if the process is alive."""
    return {"status": "ok", "version": microlith.__version__}


@router.get("/readyz", responses={503: {"description": "A part that this server needs does not answer"}})
async def readyz(request: Request) -> JSONResponse:
    """Say whether database, migrations, broker and object store answered within the last second; if not, 503. A caller
    with the key also gets what is wrong with each part.
    """
    readiness: Readiness = request.app.state.readiness
    checks = await readiness.look()
    ready = all(state == "ok" for state in checks.values())
    told: dict[str, object] = {"status": "ready" if ready else "not ready"}
    if request.state.known:
        told["checks"] = checks
    return JSONResponse(told, 200 if ready else 503, {"Cache-Control": "no-store"})


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Prometheus metrics of this process."""
    state = request.app.state
    at, written = getattr(state, "measured", (float("-inf"), b""))
    if time.monotonic() - at > MEASURED_SECONDS:
        written = generate_latest()
        state.measured = (time.monotonic(), written)
    return Response(written, media_type=CONTENT_TYPE_LATEST)
