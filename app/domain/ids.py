"""Ids that sort by time: a prefix that names the noun, then 48 bits of milliseconds and 80 random bits in base 32."""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no letter that reads as a digit


def new_id(noun: str) -> str:
    """`noun` and 26 characters, e.g. `job_01KAT9…`; later ids sort after earlier ones to the millisecond."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{noun}_{''.join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))}"
