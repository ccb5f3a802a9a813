"""From a URL to the store it names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.domain.errors import InvalidInput
from app.storage.folder import FolderStore
from app.storage.keys import check_prefix
from app.storage.s3 import S3ObjectStore, S3Place
from app.storage.store import ObjectStore


def open_store(
    url: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str = "us-east-1",
    public_endpoint: str | None = None,
    create: bool = True,
) -> ObjectStore:
    """The store at `file:///absolute/folder` or `s3://bucket[/prefix]`; most of the rest is for S3.

    No network is used yet; a folder that is missing is made if we may `create` it.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FolderStore(Path(unquote(parts.path)), create=create)
    if parts.scheme == "s3" and parts.netloc:
        bucket = S3Place(
            parts.netloc,
            check_prefix(parts.path.strip("/")),
            region,
            endpoint,
            access_key,
            secret_key,
            public_endpoint,
        )
        return S3ObjectStore(bucket)
    raise InvalidInput(f"{url!r} is not an object store: use file:///absolute/folder or s3://bucket[/prefix].")
