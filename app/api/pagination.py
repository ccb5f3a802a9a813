"""Lists by cursor: the id to go on from, opaque to the caller and stable while rows arrive."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from fastapi import Query

from app.domain.errors import InvalidInput
from microlith.contract import Page

MAX_LIMIT = 100

_ID = re.compile(r"[\w.:-]{1,200}", re.ASCII)
"""What an id of a row may look like, at most."""


class HasId(Protocol):
    """What a page holds."""

    @property
    def id(self) -> str: ...


PageItem = TypeVar("PageItem", bound=HasId)


@dataclass(frozen=True)
class Cursor:
    """Where a page begins, just below `before`, and how long it is."""

    limit: int
    before: str | None

    @classmethod
    async def from_query(
        cls,
        limit: Annotated[int, Query(ge=1, description=f"At most {MAX_LIMIT}; more counts as {MAX_LIMIT}.")] = 20,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.")] = None,
    ) -> Cursor:
        return cls(min(limit, MAX_LIMIT), _decode(cursor) if cursor else None)

    def page(self, items: Sequence[PageItem]) -> Page[PageItem]:
        """A page of `items`, which hold one more than the limit when there is a next page."""
        shown = list(items[: self.limit])
        more = len(items) > self.limit
        return Page(data=shown, next_cursor=_encode(shown[-1].id) if more else None)


def _encode(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        told = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        told = ""
    if not _ID.fullmatch(told):
        raise InvalidInput("This cursor is invalid.", hint="Leave it out to start at the beginning.", pointer="/cursor")
    return told
