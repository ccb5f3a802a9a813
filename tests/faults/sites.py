"""Where the tests run. When they run in several processes, each site is in one of them alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.embedded_site import embedded_site
from tests.faults.servers_site import servers_site
from tests.faults.specs import FULL

SITES = {"servers": servers_site, "embedded": embedded_site}


def params(*names: str) -> list[Any]:
    """Parameters of the fixture `running_site`."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


def on(*names: str) -> pytest.MarkDecorator:
    """Of a test that does not run on every site."""
    return pytest.mark.parametrize("running_site", params(*names), indirect=True)


def first_on(name: str) -> pytest.MarkDecorator:
    """Of a test that takes long: the suite runs it on this site, `make test-faults` on every one."""
    return on(name, *(other for other in SITES if other != name and FULL))
