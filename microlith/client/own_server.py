"""The token of a server on this machine without a key, which leaves it where its user alone can read it."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

NAME = "server.json"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def token_for(url: str) -> str | None:
    """The token of the server at `url`, where one of the usual data folders has it; None for any other server."""
    port = _port_here(url)
    if port is None:
        return None
    for folder in _data_folders():
        with suppress(OSError, ValueError, KeyError, TypeError):
            server = json.loads(_read_private(folder / NAME))
            if _port_here(server["url"]) == port:
                return str(server["token"])
    return None


def _data_folders() -> list[Path]:
    named = os.environ.get("MICROLITH_DATA_DIR")
    usual = [Path(".microlith"), Path("~/.microlith")]
    return [folder.expanduser() for folder in ([Path(named)] if named else []) + usual]


def _read_private(file: Path) -> str:
    """What the file says. OSError where somebody else has written it, or could have."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="utf-8") as text:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise PermissionError(f"{file} is not ours alone")
        return text.read()


def _port_here(url: str) -> int | None:
    """The port at this machine that a URL means; None where it means another machine."""
    with suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme == "http" and parts.hostname in LOOPBACK:
            return parts.port or 80
    return None
