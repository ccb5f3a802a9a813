"""One running server for every example, started as a user starts it."""

from collections.abc import Iterator

import pytest

from tests.serving import Service, running_service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One for all tests."""
    with running_service(jobs_per_child=100) as service:
        yield service
