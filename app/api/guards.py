"""What every request passes before a route sees it: its turn, an id, a size limit, and the right to call at all."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import loopback_user
from app.api.bodies import limited
from app.api.pacing import Pacing
from app.api.problems import headers_of, problem_of, render
from app.api.sessions import COOKIE, give_session, is_foreign, session_in
from app.api.wrong_keys import WrongKeys
from app.domain.errors import ForeignPage, InvalidInput, MicrolithError, Unauthenticated
from app.domain.ids import new_id
from app.settings import Settings

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""Probes of an orchestrator, which has no key; they say nothing about anybody's work."""

OPEN_TO_PEOPLE = ("/sign-in", "/static/")
"""Where the key can be given, and what that page is drawn with."""

OWNER = "default"
"""The one caller there is while the key comes from the environment."""

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Others are counted as one: whoever calls may make words up."""

UPLOADED = re.compile(r"/v1/uploads/[^/]+/content")

HOST = re.compile(r"([\w.-]{1,255}|\[[0-9a-f:.]{2,45}\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
LOOPBACK_HOSTS = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?", re.IGNORECASE)

REQUESTS = Histogram("microlith_http_request_seconds", "Time to answer, by route", ["method", "route", "status"])


@dataclass(frozen=True)
class Guards:
    """An ASGI layer around the application.

    `lead_to_sign_in` answers a person whose browser has no session, and is None for a program, which gets a problem.
    """

    app: ASGIApp
    settings: Settings
    lead_to_sign_in: Callable[[Request], Response | None] = lambda _: None
    wrong_keys: WrongKeys = field(default_factory=WrongKeys)
    pacing: Pacing = field(default_factory=Pacing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        keyed = self.settings.api_key is not None
        state = {"request_id": request_id, "owner": OWNER, "keyed": keyed, "known": False}
        scope.setdefault("state", {}).update(state, wrong_keys=self.wrong_keys)
        watched, request = _Watched(scope, send, request_id), Request(scope)
        try:
            await self.pacing.turn(scope["path"])
            await self._check_caller(request)
            if shown := _token_in(request, self.settings):
                await _without_token(request, shown)(scope, receive, watched.send)
                return
            await self.app(scope, limited(receive, request.headers, self._most_bytes(scope)), watched.send)
        except MicrolithError as error:
            answer = self._sign_in(request, error) or render(problem_of(error, request_id), _headers(error))
            await answer(scope, receive, watched.send)

    def _sign_in(self, request: Request, error: MicrolithError) -> Response | None:
        """The way to the key's page for a person who has shown none, where there is one to show."""
        can_sign_in = isinstance(error, Unauthenticated) and self.settings.secret and _has_good_host(request)
        return self.lead_to_sign_in(request) if can_sign_in else None

    def _most_bytes(self, scope: Scope) -> int:
        """Of a body; a file that is uploaded may be large, since it is never held in memory."""
        upload = scope["method"] == "PUT" and UPLOADED.fullmatch(scope["path"])
        return self.settings.max_upload_bytes if upload else self.settings.max_body_bytes

    async def _check_caller(self, request: Request) -> None:
        """With a key every call must carry it, or a session that began with it. Without one only this machine may

        call, not by a foreign name, and other users of it than ours only with the token. In no case does a page of
        another site change anything, or have us work.
        """
        if not _has_good_host(request):
            raise InvalidInput("The Host header is no name or address.", pointer="/host")
        if is_foreign(request):
            raise ForeignPage("A page of another site sent this request.", hint="Send it from this server's own pages.")
        path = request.scope["path"]
        open_path = path in OPEN_PATHS
        if self.settings.api_key is None and not LOOPBACK_HOSTS.fullmatch(request.headers.get("host", "")):
            if not open_path:
                raise Unauthenticated(
                    "Without a key, this server answers only requests to localhost.", hint="Use the address 127.0.0.1."
                )
            return
        request.state.known = await self._is_known(request)
        if request.state.known or open_path or path.startswith(OPEN_TO_PEOPLE):
            return
        if _bearer(request) is not None:
            await self.wrong_keys.met(request)
        raise self._unknown()

    async def _is_known(self, request: Request) -> bool:
        """Whether the caller has the key or token, a session, or started this server."""
        secret = self.settings.secret
        if secret is None or _same(_bearer(request), secret) or _token_in(request, self.settings):
            return True
        session = session_in(request.cookies.get(COOKIE, ""), secret)
        if session is not None and not await request.app.state.signed_out.has(session.id):
            return True
        return self.settings.api_key is None and loopback_user.is_own(request.scope)

    def _unknown(self) -> Unauthenticated:
        if self.settings.api_key is not None:
            return Unauthenticated("This server requires a key.", hint="Send it as `Authorization: Bearer KEY`.")
        return Unauthenticated(
            "This server was started by another user of this machine.",
            hint="Open the address with the token that the server printed, or send the token as `Authorization: "
            "Bearer TOKEN`.",
        )


def _bearer(request: Request) -> str | None:
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else None


def _same(sent: str | None, secret: str) -> bool:
    return sent is not None and hmac.compare_digest(sent.encode(), secret.encode())


def _token_in(request: Request, settings: Settings) -> str | None:
    """The start-up token, where the address holds it: a person opens what the server has printed."""
    if settings.api_key or not settings.token or request.method != "GET":
        return None
    sent, token = request.query_params.get("token"), settings.token.get_secret_value()
    return token if _same(sent, token) else None


def _without_token(request: Request, token: str) -> RedirectResponse:
    """On to the same place, with a session in the stead of the token, which no history or log should hold."""
    rest = urlencode([pair for pair in parse_qsl(request.url.query, keep_blank_values=True) if pair[0] != "token"])
    place = "/" + request.scope["raw_path"].decode("ascii", "replace").lstrip("/\\")
    answer = RedirectResponse(f"{place}?{rest}" if rest else place, 303)
    give_session(answer, request, token)
    return answer


def _has_good_host(request: Request) -> bool:
    """Whether an address can be made of it; older clients send none."""
    return HOST.fullmatch(request.headers.get("host", "none")) is not None


def _headers(error: MicrolithError) -> dict[str, str]:
    return headers_of(error) | ({"WWW-Authenticate": "Bearer"} if isinstance(error, Unauthenticated) else {})


class _Watched:
    """Sends an answer on, with the request's id on it, and counts it."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self.scope, self.onward, self.request_id = scope, send, request_id
        self.began = time.perf_counter()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            route = getattr(self.scope.get("route"), "path", "none")
            method = self.scope["method"] if self.scope["method"] in METHODS else "other"
            REQUESTS.labels(method, route, message["status"]).observe(time.perf_counter() - self.began)
        await self.onward(message)


def _request_id(headers: Headers) -> str:
    """The caller's own id where it sent a decent one."""
    sent = headers.get("x-request-id", "")
    return sent if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", sent) else new_id("req")
