"""Sessions of browsers: who has shown the key carries a signed cookie, until it expires or the key changes."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlsplit

from starlette.requests import Request

COOKIE = "microlith_session"
SESSION_SECONDS = 12 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def new_session(key: str) -> str:
    """What the cookie holds: when it expires, and a signature by the key. The key itself is not in it."""
    expires = str(int(time.time()) + SESSION_SECONDS)
    return f"{expires}.{_signature(expires, key)}"


def is_valid(session: str, key: str) -> bool:
    """Whether the key signed it and its time is not over."""
    expires, _, signature = session.partition(".")
    signed = hmac.compare_digest(signature.encode(), _signature(expires, key).encode())
    return signed and expires.isdecimal() and int(expires) > time.time()


def is_foreign(request: Request) -> bool:
    """Whether a page of another site makes a browser send this: such a request must change nothing.

    Browsers say so by Sec-Fetch-Site or Origin, and no page can make them lie; other clients send neither.
    """
    if request.method in SAFE_METHODS:
        return False
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _signature(expires: str, key: str) -> str:
    secret = hmac.digest(key.encode(), b"microlith session", "sha256")
    return hmac.new(secret, expires.encode(), hashlib.sha256).hexdigest()
