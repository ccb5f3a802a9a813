"""S3-compatible storage as object store, through obstore."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from app.storage.keys import check_key, check_prefix
from app.storage.signing import Signer
from app.storage.store import CHUNK_BYTES, ObjectStore

if TYPE_CHECKING:
    from obstore.store import S3Config

CONCURRENT_PARTS = 4
CHECK_TIMEOUT = timedelta(seconds=3)
REQUEST_TIMEOUT = timedelta(seconds=60)
REFUSALS = (PermissionDeniedError, UnauthenticatedError)
RETRY_TIMEOUT = timedelta(seconds=120)


@dataclass(frozen=True)
class S3Place:
    """A bucket, a prefix in it, and how to get there. Without keys obstore finds the machine's own credentials.

    `endpoint` None means Amazon's. `public_endpoint` is what links name, where callers reach the store by another
    address than we do.
    """

    bucket: str
    prefix: str
    region: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    public_endpoint: str | None = None

    def open(self, *, timeout: timedelta, retries: int, endpoint: str | None = None) -> Bucket:
        """A client of the bucket; nothing is sent yet."""
        address = endpoint or self.endpoint
        config: S3Config = {"region": self.region}
        if address:
            config["endpoint"] = address
        if self.access_key and self.secret_key:
            config |= {"access_key_id": self.access_key, "secret_access_key": self.secret_key}
        return Bucket(
            self.bucket,
            prefix=self.prefix or None,
            config=config,
            client_options={
                "allow_http": (address or "").startswith("http://"),
                "connect_timeout": min(timeout, timedelta(seconds=5)),
                "timeout": timeout,
            },
            retry_config={"max_retries": retries, "retry_timeout": RETRY_TIMEOUT},
        )


class S3ObjectStore(ObjectStore):
    """Objects in a bucket. Large files go up in parts; the bucket should abort parts that were never completed."""

    def __init__(self, place: S3Place) -> None:
        self._place = place
        self._bucket = place.open(timeout=REQUEST_TIMEOUT, retries=5)

    def head(self, key: str) -> int | None:
        check_key(key)
        try:
            with self._clear_errors():
                return obstore.head(self._bucket, key)["size"]
        except FileNotFoundError:
            return None

    def open(self, key: str) -> Generator[bytes, None, None]:
        """By ranges, so that no single request lasts long and a broken one is repeated alone."""
        size = self.head(key)
        if size is None:
            raise FileNotFoundError(f"There is no object {key!r} in {self}.")
        for start in range(0, size, CHUNK_BYTES):
            with self._clear_errors():
                chunk = obstore.get_range(self._bucket, key, start=start, end=min(start + CHUNK_BYTES, size))
            yield bytes(chunk)

    def delete(self, key: str) -> None:
        check_key(key)
        with self._clear_errors():
            obstore.delete(self._bucket, key)

    def list(self, prefix: str = "", *, older_than: float = 0.0) -> Iterator[str]:
        before = datetime.now(UTC) - timedelta(seconds=older_than)
        with self._clear_errors():
            for page in obstore.list(self._bucket, prefix=check_prefix(prefix) or None):
                yield from (entry["path"] for entry in page if not older_than or entry["last_modified"] <= before)

    def local_path(self, key: str) -> None:
        """Objects are elsewhere."""

    def presign(self, key: str, *, filename: str, media_type: str, seconds: int) -> str:
        """With keys given, the link also names the file; with the machine's own credentials it is a plain one."""
        check_key(key)
        place = self._place
        if place.access_key and place.secret_key:
            signer = Signer(place.access_key, place.secret_key, place.region)
            return signer.link(self._address(key), filename=filename, media_type=media_type, seconds=seconds)
        bucket = place.open(timeout=REQUEST_TIMEOUT, retries=5, endpoint=place.public_endpoint)
        return obstore.sign(bucket, "GET", key, timedelta(seconds=seconds))

    def presign_put(self, key: str, *, size_bytes: int, seconds: int) -> str:
        """With keys given, the link holds the sender to the size; with the machine's own credentials it cannot."""
        check_key(key)
        place = self._place
        if place.access_key and place.secret_key:
            signer = Signer(place.access_key, place.secret_key, place.region)
            return signer.put_link(self._address(key), size_bytes=size_bytes, seconds=seconds)
        bucket = place.open(timeout=REQUEST_TIMEOUT, retries=5, endpoint=place.public_endpoint)
        return obstore.sign(bucket, "PUT", key, timedelta(seconds=seconds))

    def move(self, key: str, target: str) -> None:
        """By a copy inside the store, which S3 makes of objects up to 5 GB."""
        check_key(key)
        with self._clear_errors():
            obstore.rename(self._bucket, key, check_key(target))

    def check(self) -> None:
        probe = self._place.open(timeout=CHECK_TIMEOUT, retries=0)
        with self._clear_errors():
            obstore.list_with_delimiter(probe, prefix="check")

    def _put(self, key: str, path: Path, media_type: str) -> None:
        with self._clear_errors():
            obstore.put(
                self._bucket,
                key,
                path,
                attributes={"Content-Type": media_type},
                chunk_size=CHUNK_BYTES,
                max_concurrency=CONCURRENT_PARTS,
            )

    def _address(self, key: str) -> str:
        """The object's URL as callers reach it, in path style, which every S3-compatible server understands."""
        place = self._place
        base = place.public_endpoint or place.endpoint or f"https://s3.{place.region}.amazonaws.com"
        return "/".join(part for part in (base.rstrip("/"), place.bucket, place.prefix, key) if part)

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turns obstore's errors into OSError that name the store."""
        try:
            yield
        except BaseError as error:
            if isinstance(error, REFUSALS) or "403 Forbidden" in str(error):  # lists come back unclassified
                raise PermissionError(f"{self} refuses our credentials: {_first_line(error)}") from error
            raise OSError(f"{self} cannot be used: {_first_line(error)}") from error

    def __str__(self) -> str:
        place = self._place
        return f"The bucket {place.bucket!r} at {place.endpoint or 'Amazon S3'}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
