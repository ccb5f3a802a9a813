"""One running server for every example, started as a user starts it."""

from tests.e2e.conftest import Service, service

__all__ = ["Service", "service"]
