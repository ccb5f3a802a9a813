"""What routes of pages ask for in their signatures, besides what those of the API do."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from app.api.dependencies import CallersJobs, CallersLibrary, CallersModules
from app.web.comparable_modules import Gallery
from app.web.drafting import Drafting


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, in order, as browsers send them."""
    return parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True)


async def _drafting(request: Request, jobs: CallersJobs, library: CallersLibrary) -> Drafting:
    return Drafting(jobs, library, str(request.base_url).rstrip("/"))


async def _gallery(jobs: CallersJobs, modules: CallersModules) -> Gallery:
    return Gallery(jobs, modules)


FormPairs = Annotated[list[tuple[str, str]], Depends(_pairs)]
CallersDrafts = Annotated[Drafting, Depends(_drafting)]
CallersGallery = Annotated[Gallery, Depends(_gallery)]
