"""Ports that nobody else is given between a choice and a start."""

from __future__ import annotations

import socket

import pytest

from app.embedded import port
from app.embedded.port import LOOPBACK, PORTS, free_port


def test_a_free_port_lies_below_those_that_outgoing_connections_are_lent() -> None:
    with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname()) as connection:
        assert free_port() in PORTS
        assert connection.getsockname()[1] not in PORTS


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_port()
    monkeypatch.setattr(port, "PORTS", range(taken, taken + 1))
    with socket.create_server((LOOPBACK, taken)), pytest.raises(OSError, match=f"No free port from {taken} to {taken}"):
        free_port()
    assert free_port() == taken
