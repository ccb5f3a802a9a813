"""What every request passes before a route sees it: an id, a size limit, and the right to call at all."""

from __future__ import annotations

import hmac
import re
import time
from dataclasses import dataclass

import structlog
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_of, render
from app.api.sessions import COOKIE, is_foreign, is_valid
from app.domain.errors import ForeignPage, MicrolithError, PayloadTooLarge, Unauthenticated
from app.domain.ids import new_id
from app.settings import Settings
from app.web import failures

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes of an orchestrator, which has no key; they say nothing about anybody's work."""

OPEN_TO_PEOPLE = ("/sign-in", "/static/")
"""Where the key can be given, and what that page is drawn with."""

OWNER = "default"
"""The one caller there is while the key comes from the environment."""

UPLOADED = re.compile(r"/v1/uploads/[^/]+/content")

LOOPBACK_HOSTS = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)

REQUESTS = Histogram("microlith_http_request_seconds", "Time to answer, by route", ["method", "route", "status"])

log = structlog.get_logger()


@dataclass(frozen=True)
class Guards:
    """An ASGI layer around the application."""

    app: ASGIApp
    settings: Settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        keyed = self.settings.api_key is not None
        scope.setdefault("state", {}).update(request_id=request_id, owner=OWNER, keyed=keyed)
        watched = _Watched(scope, send, request_id)
        try:
            self._check_caller(Request(scope))
            limited = _limited(receive, Headers(scope=scope), self._most_bytes(scope))
            await self.app(scope, limited, watched.send)
        except MicrolithError as error:
            if isinstance(error, Unauthenticated) and keyed and failures.wants_page(Request(scope)):
                await failures.to_sign_in(Request(scope))(scope, receive, watched.send)
                return
            headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else None
            await render(problem_of(error, request_id), headers)(scope, receive, watched.send)

    def _most_bytes(self, scope: Scope) -> int:
        """Of a body; a file that is uploaded may be large, since it is never held in memory."""
        upload = scope["method"] == "PUT" and UPLOADED.fullmatch(scope["path"])
        return self.settings.max_upload_bytes if upload else self.settings.max_body_bytes

    def _check_caller(self, request: Request) -> None:
        """With a key every call must carry it, or a session that began with it. Without one only this machine may

        call, and not by a foreign name. In no case does a page of another site change anything.
        """
        if is_foreign(request):
            raise ForeignPage("A page of another site may not send this.", hint="Send it from this server's own pages.")
        if request.url.path in OPEN_PATHS:
            return
        if self.settings.api_key is None:
            if not LOOPBACK_HOSTS.fullmatch(request.headers.get("host", "")):
                raise Unauthenticated(
                    "Without a key this server answers to localhost only.", hint="Call it by 127.0.0.1."
                )
            return
        if request.url.path.startswith(OPEN_TO_PEOPLE):
            return
        if not _has_key(request, self.settings.api_key.get_secret_value()):
            raise Unauthenticated("This server asks for a key.", hint="Send it as `Authorization: Bearer KEY`.")


def _has_key(request: Request, known: str) -> bool:
    """As a bearer, or by the session of a browser."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    bearer = scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), known.encode())
    return bearer or is_valid(request.cookies.get(COOKIE, ""), known)


class _Watched:
    """Sends an answer on, with the request's id on it, and counts it."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope, self.onward, self.request_id = scope, send, request_id
        self.began = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Request-Id"] = self.request_id
            route = getattr(self.scope.get("route"), "path", "none")
            REQUESTS.labels(self.scope["method"], route, message["status"]).observe(time.perf_counter() - self.began)
        await self.onward(message)


def _request_id(headers: Headers) -> str:
    """The caller's own id where it sent a decent one."""
    sent = headers.get("x-request-id", "")
    return sent if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", sent) else new_id("req")


def _limited(receive: Receive, headers: Headers, limit: int) -> Receive:
    """`receive`, refusing a body over `limit` bytes by its announced length, or as soon as it has grown past it."""
    too_large = f"A body may have {limit:,} bytes"
    if int(headers.get("content-length") or 0) > limit:
        raise PayloadTooLarge(f"{too_large}.")
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(PayloadTooLarge.status, too_large)  # the one kind FastAPI lets pass from a body
        return message

    return limited
