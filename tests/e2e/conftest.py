"""The whole product as processes: the web service with its embedded children and a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from microlith import Client
from tests.serving import Service, running_service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One for all tests."""
    with running_service() as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client
