"""When to ask again, and after how long: decisions only, so that they serve any kind of connection.

Not tenacity or stamina: what they bring is the loop. Retry-After, the spread of those who were turned away, and counts
that begin anew with every byte or event that arrives would be ours all the same, in their callbacks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import httpx

BUSY = frozenset({429, 502, 503, 504})
"""Statuses that say: not now."""

UNBEGUN = b'"OVERLOADED"'
"""The code of a 503 by which a server says that it has not begun."""

SPREAD = 1.5
"""A pause that a server asks for is drawn up to so many times longer: all whom it turned away would come at once."""


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter: `attempts` in all, pauses of about `first`, 2·`first`, 4·`first` … seconds.

    No pause is longer than `longest`, whatever a server's Retry-After asks for. A server that has never answered is
    asked only `first_contact` times: it is more likely not there than away.
    """

    attempts: int = 8
    first_contact: int = 3
    first: float = 0.25
    longest: float = 15.0

    def pause(self, failures: int, answer: httpx.Response | None = None) -> float:
        """Seconds to wait after this many failures in a row; a server's Retry-After in seconds is the least."""
        retry_after = answer.headers.get("Retry-After", "") if answer is not None else ""
        if retry_after.isdecimal():
            return min(float(retry_after) * random.uniform(1.0, SPREAD), self.longest)
        ceiling = min(self.first * 2.0 ** (failures - 1), self.longest)
        return ceiling * random.uniform(0.5, 1.0)


def worth_another_try(failure: httpx.Response | httpx.TransportError, *, repeatable: bool) -> bool:
    """Whether sending the same request again is both useful and harmless.

    A request that is not repeatable is sent again only where it cannot have been acted upon: it never left, or the
    server turned it away unread.
    """
    if isinstance(failure, httpx.Response):
        in_flight = failure.status_code == 409 and b"IDEMPOTENCY_IN_FLIGHT" in failure.content
        unread = failure.status_code == 429 or (failure.status_code == 503 and UNBEGUN in failure.content)
        return unread or (repeatable and (failure.status_code in BUSY or in_flight))
    never_left = isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)
    hopeless = isinstance(failure, httpx.UnsupportedProtocol)
    return not hopeless and (repeatable or never_left)
