"""The start-up token of a server without a key, as notebooks have one: in the address that is printed, and in a file.

The file is in the data folder, readable by its owner alone; the client and the command line find it by themselves.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from pathlib import Path

from app.embedded.passwords import write_private

NAME = "server.json"


def startup_token(data_dir: Path) -> str:
    """The token of this data folder; a new folder has a new one. It stays, so that bookmarks do."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((data_dir / NAME).read_text())["token"]
        if isinstance(kept, str) and kept:
            return kept
    return secrets.token_urlsafe(24)


def announce(data_dir: Path, url: str, token: str) -> None:
    """Say who reads the data folder where the server is and what opens it."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = data_dir / f"{NAME}.new"
    write_private(fresh, json.dumps({"url": url, "token": token}))
    fresh.replace(data_dir / NAME)
