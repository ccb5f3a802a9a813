"""What may stand in the query of a call: the parameters that its route declares, each once, and nothing else.

A misspelt filter that is ignored answers with everything, and whoever deletes what a list shows deletes it all.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from fastapi import Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from app.domain.errors import InvalidInput

MOST_SHOWN = 80
"""Characters of a name that nobody knows."""


async def check_query(request: Request) -> None:
    """Raises InvalidInput for parameters that the route does not take, and for one that comes twice."""
    taken: tuple[str, ...] = request.scope["route"].parameters
    sent = Counter(name for name, _ in request.query_params.multi_items())
    if unknown := [name for name in sent if not _is_taken(name, taken)]:
        raise _unknown(unknown, taken)
    if twice := [name for name, times in sent.items() if times > 1]:
        raise InvalidInput(
            f"The query gives `{twice[0]}` more than once.",
            hint="Give each parameter once.",
            pointer=f"/{twice[0]}",
        )


def parameters_of(dependant: Dependant) -> tuple[str, ...]:
    """The names that a query may have, sorted, by what a route depends on; `label.KEY` stands for every key."""
    return tuple(sorted(set(_names(dependant))))


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield from kind.model_fields
            yield from getattr(kind, "by_key", ())
        else:
            yield field.alias
    for below in dependant.dependencies:
        yield from _names(below)


def _is_taken(name: str, taken: tuple[str, ...]) -> bool:
    group, dot, _ = name.partition(".")
    return name in taken or (bool(dot) and f"{group}.KEY" in taken)


def _unknown(unknown: list[str], taken: tuple[str, ...]) -> InvalidInput:
    names = ", ".join(f"`{name[:MOST_SHOWN]}`" for name in unknown[:5])
    near = get_close_matches(unknown[0][:MOST_SHOWN], taken, n=1)
    meant = f" Did you mean `{near[0]}`?" if near else ""
    allowed = f"It takes {', '.join(f'`{name}`' for name in taken)}." if taken else "It takes none."
    return InvalidInput(
        f"This call has no parameter {names}.{meant} {allowed}",
        hint="Correct the name or leave it out. GET /openapi.json lists every call with its parameters.",
        pointer=f"/{unknown[0][:MOST_SHOWN]}",
    )
