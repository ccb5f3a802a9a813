"""What every object store can do."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

CHUNK_BYTES = 8 * 1024 * 1024
"""How much of an object is in memory at a time."""


class ObjectStore(ABC):
    """Objects by key. A reader sees a whole object or none; nothing here holds a whole object in memory.

    A malformed key is an InvalidInput; an object that is not there a FileNotFoundError; a store that cannot be reached
    or refuses us another OSError.
    """

    def put_file(self, key: str, path: Path, media_type: str, *, replace: bool = False) -> None:
        """Stores a file's bytes. Keys are made from content, so one already there with the same size is left alone.

        With `replace` it is written all the same: its bytes may have been damaged.
        """
        if replace or self.head(key) != path.stat().st_size:
            self._put(key, path, media_type)

    def sha256(self, key: str) -> str:
        """The digest of the object's bytes, read in full."""
        digest = hashlib.sha256()
        with closing(self.open(key)) as chunks:
            for chunk in chunks:
                digest.update(chunk)
        return digest.hexdigest()

    def download(self, key: str, path: Path) -> None:
        """Writes the object to `path`; a failure on the way leaves no file there."""
        partial = path.with_name(f".{path.name}.partial")
        try:
            with closing(self.open(key)) as chunks, partial.open("wb") as file:
                file.writelines(chunks)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @abstractmethod
    def head(self, key: str) -> int | None:
        """The object's size in bytes; None when it is not there."""

    @abstractmethod
    def open(self, key: str) -> Generator[bytes, None, None]:
        """The object's bytes in chunks."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Removes the object; it is no error when it is not there."""

    @abstractmethod
    def list(self, prefix: str = "", *, older_than: float = 0.0) -> Iterator[str]:
        """The keys below a prefix of whole names, written at least so many seconds ago, in no particular order."""

    @abstractmethod
    def local_path(self, key: str) -> Path | None:
        """Where the object is, or would be, on this machine's disk; None for a store that is elsewhere."""

    @abstractmethod
    def presign(self, key: str, *, filename: str, media_type: str, seconds: int) -> str | None:
        """A link that reads the object without credentials until it expires; None for a store without links."""

    @abstractmethod
    def presign_put(self, key: str, *, size_bytes: int, seconds: int) -> str | None:
        """A link that one PUT of just so many bytes writes the object by, until it expires; None as above."""

    @abstractmethod
    def move(self, key: str, target: str) -> None:
        """Renames an object; at its old key there is nothing afterwards."""

    @abstractmethod
    def check(self) -> None:
        """Returns within seconds when the store can be used; raises OSError with the reason otherwise."""

    @abstractmethod
    def _put(self, key: str, path: Path, media_type: str) -> None:
        """Stores or replaces the object as a whole."""
