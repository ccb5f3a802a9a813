"""Page: one slice of a list and the opaque cursor of the next."""

from typing import Generic, TypeVar

from microlith.contract.base import Answer

Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """`next_cursor` is null on the last page. It stays valid while new rows arrive."""

    data: list[Item]
    next_cursor: str | None = None
