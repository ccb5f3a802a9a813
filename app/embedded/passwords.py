"""Random passwords of the children, kept in the data folder and readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from app.embedded.child_account import Account, give


def password(file: Path) -> str:
    """The password in `file`, made at the first call. Letters, digits, - and _: safe in a URL and in a config file."""
    if not file.exists():
        fresh = file.with_suffix(".new")
        write_private(fresh, secrets.token_urlsafe(32))
        fresh.rename(file)
    return file.read_text().strip()


def write_private(file: Path, text: str, account: Account | None = None) -> None:
    """Writes a file of mode 0600, owned by the account; it is never open to others, not even for a moment."""
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    give(file, account)
