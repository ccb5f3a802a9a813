"""The servers and the service that tests talk to: real ones, started once, emptied between tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from fastapi.testclient import TestClient

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two busy processes with two threads each wait for one another

from app.db.migrations import migrate
from app.db.unit import Database
from app.main import create_app
from app.services.backend import Backend
from app.settings import Settings
from tests.emptied import empty_backend, settings_in
from tests.servers import S3Server, broker_url, postgres_url, s3_store
from tests.shared import check_required


def pytest_configure() -> None:
    check_required()


hypothesis.settings.load_profile("ci")  # the same examples wherever it runs, and no limit to what one takes


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a migrated PostgreSQL."""
    with postgres_url() as url:
        database = Database(url)
        migrate(database.engine)
        database.close()
        yield url


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """URL of a Valkey."""
    with broker_url() as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3-compatible server with a bucket."""
    with s3_store() as server:
        yield server


@pytest.fixture
def settings(postgres: str, broker: str, tmp_path: Path) -> Settings:
    """A service with a folder of its own."""
    return settings_in(tmp_path, postgres, broker)


@pytest.fixture
def backend(settings: Settings) -> Iterator[Backend]:
    """The service's parts, on an empty database."""
    with empty_backend(settings) as backend:
        yield backend


@pytest.fixture
def api(backend: Backend, settings: Settings) -> Iterator[TestClient]:
    """A client of the service, in this process."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client
