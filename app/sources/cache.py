"""A bounded folder of things that can be made again (unpacked uploads, tokenised splits) for all processes here.

An entry appears whole or not at all. Who uses one holds a shared flock on it; making and removing take it exclusively,
so that nothing is made twice at once and nothing vanishes under its reader, whichever process is killed when.
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
from uuid import uuid4

MAKING = ".making-"
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
        with (self.folder / f"{name}.lock").open("a") as lock:
            while True:
                fcntl.flock(lock, fcntl.LOCK_SH)
                if entry.is_dir():
                    break
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not entry.is_dir():
                    self._make(entry, make)
            os.utime(entry)
            yield entry

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        making = self.folder / f"{MAKING}{uuid4().hex}"
        making.mkdir()
        try:
            make(making)
            making.rename(entry)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        self.trim()

    def trim(self) -> None:
        """Remove what was left half made a day ago, and the oldest entries nobody holds, until the rest fits."""
        _remove_stale(self.folder)
        entries = [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        sizes = {entry: _size(entry) for entry in sorted(entries, key=_last_used)}
        excess = sum(sizes.values()) - self.max_bytes
        for entry, size in sizes.items():
            if excess <= 0:
                return
            excess -= size if self._removed(entry) else 0

    def _removed(self, entry: Path) -> bool:
        """Whether nobody held the entry, so that it is gone now."""
        with (self.folder / f"{entry.name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            gone = self.folder / f"{MAKING}{uuid4().hex}"
            entry.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        return True


def _remove_stale(folder: Path) -> None:
    for left in folder.glob(f"{MAKING}*"):
        if _last_used(left) < time.time() - STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was quicker
        return 0.0
