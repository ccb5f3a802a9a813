"""Templates, and the answer that carries a page: nothing on it runs or loads that is not a file of this server."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import microlith
from app.web.views import phrases
from microlith.display import numbers

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def render_page(request: Request, template: str, status: int = 200, **shown: object) -> HTMLResponse:
    """`template` with what it shows. Raises for a name the template asks for and nobody gives."""
    common = {"path": request.url.path, "keyed": getattr(request.state, "keyed", False)}
    return HTMLResponse(_environment().get_template(template).render(**common, **shown), status, HEADERS)


def static_url(name: str) -> str:
    """The address of a static file, which changes with its content so that browsers may keep it for good."""
    return f"/static/{name}?{_digest(STATIC / name)}"


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def _ticked(text: str) -> Markup:
    """Text with `what stands between ticks` as code."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if at % 2 else p for at, p in enumerate(parts))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"static": static_url, "version": microlith.__version__}
    environment.filters |= {
        "score": numbers.score,
        "size": numbers.size,
        "ms": numbers.milliseconds,
        "quantity": numbers.quantity,
        "duration": numbers.duration,
        "ago": phrases.ago,
        "change": phrases.signed,
        "moment": phrases.moment,
        "percent": phrases.percent,
        "ticked": _ticked,
    }
    return environment
