"""Where the tests run, one site after the other; several processes begin at different ends, see the Makefile."""

from __future__ import annotations

import pytest

from tests.faults.embedded_site import embedded_site
from tests.faults.servers_site import servers_site
from tests.faults.specs import FULL

SITES = {"servers": servers_site, "embedded": embedded_site}


def on(*names: str) -> pytest.MarkDecorator:
    """Of a test that does not run on every site."""
    return pytest.mark.parametrize("running_site", names, indirect=True)


def first_on(name: str) -> pytest.MarkDecorator:
    """Of a test that takes long: the suite runs it on this site, `make test-faults` on every one."""
    return on(name, *(other for other in SITES if other != name and FULL))
