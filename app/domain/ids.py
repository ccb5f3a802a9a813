"""Ids that sort by time: a prefix that names the noun, then a ULID: 48 bits of milliseconds, 80 random bits, base 32.

The random bits are drawn here, anew for every id: python-ulid by itself counts them up within a millisecond, so that
one id would give away the next.
"""

import secrets
import time
from datetime import UTC, datetime, timedelta

from ulid import ULID
from ulid.constants import MAX_TIMESTAMP

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(noun: str, at: datetime | None = None) -> str:
    """`noun` and 26 characters, e.g. `job_01KAT9…`; later ids sort after earlier ones to the millisecond.

    `at` is the time it tells, by default this machine's.
    """
    milliseconds = time.time_ns() // 1_000_000 if at is None else _milliseconds(at)
    return f"{noun}_{ULID.from_int(milliseconds << 80 | secrets.randbits(80))}"


def first_id(noun: str, at: datetime, shift: timedelta = timedelta(0)) -> str:
    """What no id of that time, moved by `shift`, sorts before."""
    milliseconds = _milliseconds(at) + shift // timedelta(milliseconds=1)
    return f"{noun}_{ULID.from_int(min(max(milliseconds, 0), MAX_TIMESTAMP) << 80)}"


def _milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)
