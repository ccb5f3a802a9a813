"""Requests of another user of this machine, over a real connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

NOBODY = 65534

needs_another_user = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("bash"),
    reason="only root can be somebody else, and only Linux tells who is connected",
)


def as_nobody(url: str, path: str, *headers: str, method: str = "GET") -> str:
    """The whole answer to a request that the user `nobody` sends."""
    port = url.rpartition(":")[2]
    lines = (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers, "", "")
    story = 'exec 3<>"/dev/tcp/127.0.0.1/$0"; cat >&3; cat <&3'
    done = subprocess.run(
        ["bash", "-c", story, port],
        input="\r\n".join(lines).encode(),
        capture_output=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        timeout=20,
        check=True,
    )
    return done.stdout.decode()
