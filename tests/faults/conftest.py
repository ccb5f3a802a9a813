"""The sites that faults are injected into: started once, made whole and empty after each test, checked by the rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.invariants import check
from tests.faults.site import Site
from tests.faults.sites import SITES


@pytest.fixture(scope="session", params=tuple(SITES))
def running_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with SITES[request.param]() as site:
        yield site


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The site, empty; when the test is over every rule must hold."""
    try:
        yield running_site
        check(running_site.database, running_site.objects)
    finally:
        running_site.calm()
