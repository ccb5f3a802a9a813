"""A bounded folder of things that can be made again (unpacked uploads, tokenised splits) for all processes here.

An entry appears whole or not at all. Who uses one holds a shared flock on it; making and removing take it exclusively,
so that nothing is made twice at once and nothing vanishes under its reader, whichever process is killed when. A lock
goes with its entry: who has locked a file looks whether it is still the one in its place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

MAKING, LOCK = ".making-", ".lock"
STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Cache:
    """Entries are folders below `folder`; the least recently used go when they take more than `max_bytes` together."""

    folder: Path
    max_bytes: int

    @contextmanager
    def held(self, name: str, make: Callable[[Path], None]) -> Iterator[Path]:
        """The entry `name`, filled by `make` if it is not there; it stays while the block runs."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry = self.folder / name
        while True:
            with self._lock_of(entry).open("a") as lock:
                if self._is_held(lock, entry, make):
                    os.utime(entry)
                    yield entry
                    return

    def _is_held(self, lock: IO[str], entry: Path, make: Callable[[Path], None]) -> bool:
        """Whether the entry is there and held now; not, where the lock's file or the entry has gone meanwhile."""
        fcntl.flock(lock, fcntl.LOCK_SH)
        if _is_in_place(lock) and not entry.is_dir():
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_in_place(lock) and not entry.is_dir():
                self._make(entry, make)
            fcntl.flock(lock, fcntl.LOCK_SH)
        return _is_in_place(lock) and entry.is_dir()

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        """Fill the entry, whose lock is held by us alone. What fails leaves neither."""
        making = self.folder / f"{MAKING}{uuid4().hex}"
        making.mkdir()
        try:
            make(making)
            making.rename(entry)
        except BaseException:
            self._lock_of(entry).unlink(missing_ok=True)
            raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
        self.trim()

    def trim(self) -> None:
        """Remove what was left half made a day ago, and the oldest entries nobody holds, until the rest fits."""
        for left in self.folder.glob(f"{MAKING}*"):
            if _last_used(left) < time.time() - STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        entries = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        sizes = {entry: _size(entry) for entry in sorted(entries, key=_last_used)}
        excess = sum(sizes.values()) - self.max_bytes
        for entry, size in sizes.items():
            if excess <= 0:
                break
            excess -= size if self._removed(entry) else 0
        for lock in self.folder.glob(f"*{LOCK}"):
            if not (entry := lock.with_name(lock.name.removesuffix(LOCK))).is_dir():
                self._removed(entry)

    def _removed(self, entry: Path) -> bool:
        """Whether nobody held the entry, so that it is gone now, and its lock with it."""
        gone = self.folder / f"{MAKING}{uuid4().hex}"
        with self._lock_of(entry).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not _is_in_place(lock):
                return False
            if entry.is_dir():
                entry.rename(gone)
            self._lock_of(entry).unlink()
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _lock_of(self, entry: Path) -> Path:
        return self.folder / f"{entry.name}{LOCK}"


def _is_in_place(lock: IO[str]) -> bool:
    """Whether the file that was locked is the one that others find there: a removed one keeps nobody out."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), Path(lock.name).stat())
    except FileNotFoundError:
        return False


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except FileNotFoundError:  # another process was quicker
        return 0


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was quicker
        return 0.0
