"""Signing in and out, where the server asks for a key."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import AnyBackend, Caller
from app.api.sessions import COOKIE, give_session, session_in
from app.services.signing_out import SignedOut
from app.web.dependencies import FormPairs
from app.web.rendering import render_page

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Query(alias="next")]


@router.get("/sign-in")
def sign_in_page(request: Request, next_path: Next = "/") -> Response:
    return render_page(request, "sign-in.html", next=_own(next_path), wrong=False)


@router.post("/sign-in")
async def sign_in(request: Request, backend: AnyBackend, pairs: FormPairs, next_path: Next = "/") -> Response:
    """The key comes in the body, once, and no address ever holds it."""
    known, sent = backend.settings.secret, dict(pairs).get("key", "").strip()
    if known is None or not hmac.compare_digest(sent.encode(), known.encode()):
        await request.state.wrong_keys.answer_slowly(request)
        return render_page(request, "sign-in.html", 401, next=_own(next_path), wrong=True)
    return give_session(RedirectResponse(_own(next_path), 303), request, sent)


@router.post("/sign-out")
async def sign_out(request: Request, backend: AnyBackend, caller: Caller) -> Response:
    """The session is over, in whatever browser it is."""
    secret = backend.settings.secret
    session = session_in(request.cookies.get(COOKIE, ""), secret) if secret else None
    if session is not None:
        signed_out: SignedOut = request.app.state.signed_out
        await run_in_threadpool(signed_out.end, session.id, session.expires_at, caller)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _own(path: str) -> str:
    """A path of this server, whatever was asked for."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
