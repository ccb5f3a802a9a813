"""One running server for every example, started as a user starts it."""

from tests.e2e.conftest import service
from tests.serving import Service

__all__ = ["Service", "service"]
