"""Sessions of browsers: who has shown the key carries a signed cookie, until it expires, ends, or the key changes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "microlith_session"
SESSION_SECONDS = 12 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True)
class Session:
    """What a cookie says that we have signed."""

    id: str
    expires_at: datetime


def new_session(key: str) -> str:
    """What the cookie holds: when it expires, an id, and a signature by the key. The key itself is not in it."""
    said = f"{int(time.time()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
    return f"{said}.{_signature(said, key)}"


def session_in(cookie: str, key: str) -> Session | None:
    """The session, if the key signed it and its time is not over. Whether it was ended is not known here."""
    said, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(said, key).encode()):
        return None
    expires, _, name = said.partition(".")
    return Session(name, datetime.fromtimestamp(int(expires), UTC)) if int(expires) > time.time() else None


def give_session(answer: Response, request: Request, key: str) -> Response:
    """Has the browser carry a new session: to this server alone, unseen by scripts, by TLS where it uses that."""
    answer.set_cookie(
        COOKIE,
        new_session(key),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.scope["scheme"] == "https",
        path="/",
    )
    return answer


def is_foreign(request: Request) -> bool:
    """Whether a page of another site makes a browser send this: such a request changes nothing and costs nothing.

    What it may is lead a person here, as every link does. Browsers say who asks by Sec-Fetch-Site or Origin, and no
    page can make them lie; other clients send neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in OWN_SITES and not _is_link(request)
    origin = request.headers.get("origin")
    return origin is not None and _host_of(origin) != request.headers.get("host")


def _is_link(request: Request) -> bool:
    mode, target = (request.headers.get(f"sec-fetch-{name}") for name in ("mode", "dest"))
    return request.method in SAFE_METHODS and mode == "navigate" and target == "document"


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _signature(said: str, key: str) -> str:
    secret = hmac.digest(key.encode(), b"microlith session", "sha256")
    return hmac.new(secret, said.encode(), hashlib.sha256).hexdigest()
