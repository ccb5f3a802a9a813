"""Waiting for what processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

POLL_SECONDS = 0.05


def wait_for(condition: Callable[[], bool], seconds: float, what: str = "the condition") -> None:
    """Return as soon as the condition holds; fail the test when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {seconds:g} s"
        time.sleep(POLL_SECONDS)


def ready(url: str) -> bool:
    """Whether the web service says that everything it needs is there."""
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False
