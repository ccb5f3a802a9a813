"""Free ports of the loopback interface."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

LOOPBACK = "127.0.0.1"
START_TRIES = 3
"""How often a server is started on another port when somebody took the one it was given."""
PORTS = range(16_384, 32_768)
"""Below the ports that systems lend to outgoing connections: such a connection would take a port between two starts."""


def free_port() -> int:
    """A loopback port nobody uses now, drawn at random so that two who ask at once get different ones.

    Somebody may still take it before we do: whoever starts a server on it tries again. Raises OSError if all are taken.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise OSError(f"No free port from {PORTS.start} to {PORTS.stop - 1}.")
