"""A folder as object store: plain files, written under another name, synced, then renamed.

The one place where obstore is not used: its folder store follows links out of the root and does not sync.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from uuid import uuid4

from app.domain.errors import InvalidInput
from app.storage.keys import check_key, check_prefix
from app.storage.store import CHUNK_BYTES, ObjectStore

INCOMING = ".incoming"
"""Where unfinished objects are; no key can name it."""

STALE_SECONDS = 24 * 3600


class FolderStore(ObjectStore):
    """Objects as files below `root`, which is made if missing; not without `create`.

    A folder that has gone (a disk that is not mounted) must not be begun anew in its place: it is an OSError to write.
    One that we make is for our user alone, and a file in it is open to nobody else than its folder is.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self.root = Path(os.path.realpath(root))
        self._incoming = self.root / INCOMING
        if create:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._incoming.mkdir(exist_ok=True)
            self._sweep()

    def head(self, key: str) -> int | None:
        path = self.local_path(key)
        return path.stat().st_size if path.is_file() else None

    def open(self, key: str) -> Generator[bytes, None, None]:
        with self.local_path(key).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def delete(self, key: str) -> None:
        self.local_path(key).unlink(missing_ok=True)

    def list(self, prefix: str = "", *, older_than: float = 0.0) -> Iterator[str]:
        start, before = self.root / check_prefix(prefix), time.time() - older_than
        for folder, subfolders, files in os.walk(start):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # somebody else was quicker to delete it
                    if not path.is_symlink() and path.stat().st_mtime <= before:
                        yield path.relative_to(self.root).as_posix()

    def local_path(self, key: str) -> Path:
        """The object's file. Raises InvalidInput when a link on the way leads elsewhere."""
        path = self.root / check_key(key)
        if os.path.realpath(path) != str(path):
            raise InvalidInput(f"The object {key!r} is behind a link, which is not followed.")
        return path

    def presign(self, key: str, *, filename: str, media_type: str, seconds: int) -> None:
        """A folder has no links: the API serves `local_path`."""

    def presign_put(self, key: str, *, size_bytes: int, seconds: int) -> None:
        """A folder has no links: the API takes the bytes."""

    def move(self, key: str, target: str) -> None:
        path = self.local_path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.local_path(key).rename(path)
        _sync_folder(path.parent)

    def check(self) -> None:
        probe = self._incoming / f"check-{uuid4().hex}"
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise OSError(f"The object folder {self.root} cannot be written to: {error.strerror or error}.") from error

    def _put(self, key: str, path: Path, media_type: str) -> None:  # noqa: ARG002  a file has no type
        target = self.local_path(key)
        incoming = self._incoming / uuid4().hex
        if not self._incoming.is_dir():
            raise OSError(f"The object folder {self.root} is not there.")
        try:
            _copy_synced(path, incoming, self.root.stat().st_mode & 0o666)
            target.parent.mkdir(parents=True, exist_ok=True)
            incoming.replace(target)
            _sync_folder(target.parent)
        finally:
            incoming.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Removes what processes that were killed had not finished."""
        before = time.time() - STALE_SECONDS
        for left in self._incoming.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < before:
                    left.unlink()


def _copy_synced(source: Path, target: Path, mode: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as writer, source.open("rb") as reader:
        shutil.copyfileobj(reader, writer, CHUNK_BYTES)
        writer.flush()
        os.fsync(writer.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
