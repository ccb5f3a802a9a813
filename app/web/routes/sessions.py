"""Signing in and out, where the server asks for a key."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.dependencies import AnyBackend
from app.api.sessions import COOKIE, SESSION_SECONDS, new_session
from app.web.asked import FormPairs
from app.web.rendering import page

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(alias="next")]


@router.get("/sign-in")
def sign_in_page(request: Request, place: Next = "/") -> Response:
    return page(request, "sign-in.html", next=_own(place), wrong=False)


@router.post("/sign-in")
def sign_in(request: Request, backend: AnyBackend, pairs: FormPairs, place: Next = "/") -> Response:
    """The key comes in the body, once, and no address ever holds it."""
    known, sent = backend.settings.api_key, dict(pairs).get("key", "").strip()
    if known is None or not hmac.compare_digest(sent.encode(), known.get_secret_value().encode()):
        return page(request, "sign-in.html", 401, next=_own(place), wrong=True)
    answer = RedirectResponse(_own(place), 303)
    session, secure = new_session(sent), request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure, path="/"
    )
    return answer


@router.post("/sign-out")
def sign_out() -> Response:
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _own(place: str) -> str:
    """A path of this server, whatever was asked for."""
    return place if place.startswith("/") and not place.startswith(("//", "/\\")) else "/"
