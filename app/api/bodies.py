"""The body of a request: how large it may be, and how slowly it may come."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from app.domain.errors import InvalidInput, PayloadTooLarge

SILENT_SECONDS = 30.0
"""Without a byte of a body that is not whole; nobody is slower than a bad telephone line."""

SLOWEST = 1_000
"""Bytes a second, over the whole of a body that has taken longer than that."""

DIGITS = 18
"""A length with more is a larger file than there are disks."""


def limit_body(receive: Receive, headers: Headers, most: int) -> Receive:
    """`receive`, refusing a body over `most` bytes by its announced length, or as soon as it has grown past it.

    One that stops coming is refused as well. Raises PayloadTooLarge, and InvalidInput for a length that is no number.
    """
    too_large = f"A body may have {most:,} bytes"
    if _announced(headers) > most:
        raise PayloadTooLarge(f"{too_large}.")
    seen, whole, began = 0, False, time.monotonic()

    async def waited() -> Message:
        nonlocal seen, whole
        message = await (receive() if whole else _soon(receive, began + SILENT_SECONDS + seen / SLOWEST))
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > most:
            raise HTTPException(PayloadTooLarge.status, too_large)  # the one kind FastAPI lets pass from a body
        return message

    return waited


async def _soon(receive: Receive, latest: float) -> Message:
    try:
        async with asyncio.timeout(min(SILENT_SECONDS, max(latest - time.monotonic(), 0.0))):
            return await receive()
    except TimeoutError:
        raise HTTPException(408, "The body stopped coming", {"Connection": "close"}) from None


def _announced(headers: Headers) -> int:
    """The length that the head tells; 0 where it tells none."""
    length = headers.get("content-length") or "0"
    if not (length.isascii() and length.isdecimal()):
        raise InvalidInput("Content-Length must be a number of bytes.", pointer="/content-length")
    return int(length) if len(length) <= DIGITS else 10**DIGITS
