"""Ids that sort by time: a prefix that names the noun, then 48 bits of milliseconds and 80 random bits in base 32."""

import secrets
import time
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no letter that reads as a digit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 2**48 - 1


def new_id(noun: str, at: datetime | None = None) -> str:
    """`noun` and 26 characters, e.g. `job_01KAT9…`; later ids sort after earlier ones to the millisecond.

    `at` is the time it tells, by default this machine's.
    """
    milliseconds = time.time_ns() // 1_000_000 if at is None else _milliseconds(at)
    return _written(noun, milliseconds << 80 | secrets.randbits(80))


def first_id(noun: str, at: datetime, shift: timedelta = timedelta(0)) -> str:
    """What no id of that time, moved by `shift`, sorts before."""
    milliseconds = _milliseconds(at) + shift // timedelta(milliseconds=1)
    return _written(noun, min(max(milliseconds, 0), LATEST) << 80)


def _milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def _written(noun: str, number: int) -> str:
    return f"{noun}_{''.join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))}"
