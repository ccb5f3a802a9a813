"""A finished job in a server in this process, published by the code that publishes; and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.services.backend import Backend
from tests import work


@pytest.fixture
def finished(backend: Backend, tmp_path: Path) -> str:
    """The id of a job with two modules and a base."""
    job_id = work.submit(backend, concerns=["act", "animal"], labels={"team": "lexicon"})
    lease = work.claim(backend, job_id)
    publisher = work.publisher_of(backend, lease)
    publisher.publish_base(work.base_result())
    for concern, f1 in ((0, 0.9), (1, 0.7)):
        work.publish(publisher, tmp_path, concern, work.report(f1, f1, f1))
    work.finish(backend, lease)
    return job_id


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    browsing = pytest.importorskip("tests.web.browsing", reason="Playwright is not installed (make test installs it)")
    if browsing.CHROMIUM is None:
        pytest.skip("Chromium is not installed (make browser)")
    with browsing.chromium() as browser:
        yield browser
