"""Trying a module: a text goes in, and what base and module make of it comes back."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.api.dependencies import CallersTries
from app.web.dependencies import FormPairs
from app.web.rendering import render_page
from app.web.views.tries import TypedTexts, inputs_of, try_page
from microlith.contract import PredictionRequest

router = APIRouter(include_in_schema=False)

WAIT_SECONDS = 30


@router.post("/modules/{module_id}/try")
async def try_module(request: Request, module_id: str, tries: CallersTries, pairs: FormPairs) -> Response:
    """The answer is waited for; a job that takes longer is led to."""
    module, sent = await tries.module(module_id), dict(pairs)
    typed = TypedTexts(sent.get("text", ""), sent.get("text_pair"))
    try:
        asked = PredictionRequest.model_validate({"inputs": inputs_of(typed)})
    except ValidationError:
        fault = "Write one to 32 texts, one on each line, of at most 10,000 characters."
        if typed.text_pair is not None:
            fault += " Each line needs its own in the other field."
        return render_page(request, "try.html", 422, tried=try_page(module, typed, fault=fault))
    job = await tries.ask(module.id, asked, WAIT_SECONDS)
    return render_page(request, "try.html", tried=try_page(module, typed, job))
