"""A small service to talk to, and a client with no patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_service import QUICK, SmallService, running

from microlith.client import Client


@pytest.fixture
def service() -> Iterator[SmallService]:
    with running() as service:
        yield service


@pytest.fixture
def other_host() -> Iterator[SmallService]:
    with running() as service:
        yield service


@pytest.fixture
def client(service: SmallService) -> Iterator[Client]:
    with Client(service.url, api_key="a-very-secret-key", timeout=5, retry=QUICK) as client:
        yield client
