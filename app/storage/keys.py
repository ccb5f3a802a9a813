"""Names of objects: relative, plain, and for artifacts made from the content."""

from __future__ import annotations

from app.domain.errors import InvalidInput

MAX_KEY_BYTES = 1024
"""The limit of S3."""


ARTIFACTS = "artifacts"
"""The folder of artifacts."""


def content_key(sha256: str, suffix: str) -> str:
    """The key of an artifact with this digest: equal content has one key, and a key never changes its content."""
    return check_key(f"{ARTIFACTS}/sha256/{sha256[:2]}/{sha256}{suffix}")


def check_key(key: str) -> str:
    """The key itself; raises InvalidInput for one that could name something outside the store or is hidden there."""
    parts = key.split("/")
    plain = all(part and not part.startswith(".") for part in parts) and key.isprintable() and "\\" not in key
    if not plain or len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidInput(
            f"{key!r} is not an object key: names joined by single slashes, none empty or with a dot first."
        )
    return key


def check_prefix(prefix: str) -> str:
    """A key, with or without a slash at its end, or nothing at all; without the slash."""
    return check_key(prefix.removesuffix("/")) if prefix else ""
