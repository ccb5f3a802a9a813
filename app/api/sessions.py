"""Sessions of browsers: who has shown the key carries a signed cookie, until it expires, ends, or the key changes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from itsdangerous import BadSignature, TimestampSigner
from starlette.requests import Request
from starlette.responses import Response

COOKIE = "microlith_session"
SESSION_SECONDS = 12 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True)
class BrowserSession:
    """What a cookie says that we have signed."""

    id: str
    expires_at: datetime


def new_session(key: str) -> str:
    """What the cookie holds: an id, when it was given, and a signature by the key. The key itself is not in it."""
    return _signer(key).sign(secrets.token_hex(16)).decode()


def session_in(cookie: str, key: str) -> BrowserSession | None:
    """The session, if the key signed it and its time is not over. Whether it was ended is not known here."""
    try:
        session_id, given_at = _signer(key).unsign(cookie, max_age=SESSION_SECONDS, return_timestamp=True)
    except BadSignature:
        return None
    return BrowserSession(session_id.decode(), given_at + timedelta(seconds=SESSION_SECONDS))


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


def _signer(key: str) -> TimestampSigner:
    return TimestampSigner(key, salt="microlith session", key_derivation="hmac", digest_method=hashlib.sha256)
