"""Free ports of the loopback interface."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
START_TRIES = 3
"""How often a server is started on another port when somebody took the one it was given."""


def free_port() -> int:
    """A loopback port nobody uses now. Somebody may take it before we do: whoever starts a server on it tries again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
