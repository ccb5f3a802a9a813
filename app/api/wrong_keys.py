"""Who tries keys is written down and has to wait; who has the right one is never kept from it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

import structlog
from starlette.requests import Request

from app.domain.errors import RateLimited

FREE = 5
"""Wrong keys of one address that are answered at once."""

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 1.0
"""The wait after the free ones, doubled with each one more."""

FORGOTTEN_SECONDS = 600.0
WAITING_AT_ONCE = 64
ADDRESSES = 4_096

log = structlog.get_logger()


@dataclass
class _Failures:
    failures: int = 0
    last: float = 0.0


class WrongKeys:
    """What each address has tried lately. An answer to it waits; nothing else does, and nothing is held meanwhile."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Failures] = OrderedDict()
        self._waiting = 0

    async def met(self, request: Request) -> None:
        """Write a wrong key down and wait as long as its address has to. Raises RateLimited where too many wait."""
        address = request.client.host if request.client else "unknown"
        record = self._record(address)
        log.warning("key_rejected", address=address, failures=record.failures, path=request.scope["path"][:200])
        if record.failures <= FREE:
            return
        if self._waiting >= WAITING_AT_ONCE:
            raise RateLimited("Too many wrong keys at once.", hint="Send the right key, which never has to wait.")
        self._waiting += 1
        try:
            await asyncio.sleep(min(FIRST_SECONDS * 2.0 ** min(record.failures - FREE - 1, 10), LONGEST_SECONDS))
        finally:
            self._waiting -= 1

    def _record(self, address: str) -> _Failures:
        """One failure more of an address; the one not heard of for longest makes room."""
        now = time.monotonic()
        record = self._records.pop(address, None)
        if record is None or now - record.last > FORGOTTEN_SECONDS:
            record = _Failures()
        self._records[address] = record
        record.failures, record.last = record.failures + 1, now
        if len(self._records) > ADDRESSES:
            self._records.popitem(last=False)
        return record
