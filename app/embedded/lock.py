"""One server per data folder, until its last child is gone."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

ORPHANS_SECONDS = 20.0
"""Children of a killed server end within their grace periods."""


class DataDirBusy(OSError):
    """Another live server uses the data folder."""


class DataDirLock:
    """An exclusive flock on `data_dir/lock`.

    Children inherit its descriptor (`fileno`), so the lock outlives a killed server until its children have ended:
    whoever gets it may touch their files. Raises DataDirBusy at once when the owner lives.
    """

    def __init__(self, data_dir: Path, orphans_seconds: float = ORPHANS_SECONDS) -> None:
        self._file = data_dir / "lock"
        self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire(time.monotonic() + orphans_seconds)
        except BaseException:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def fileno(self) -> int:
        """The descriptor to hand to children."""
        return self._descriptor

    def release(self) -> None:
        """Lets the next server in, once every child that inherited the lock is gone too."""
        os.close(self._descriptor)

    def _acquire(self, deadline: float) -> None:
        while True:
            try:
                return fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = _owner(self._descriptor)
                if _alive(owner) or time.monotonic() > deadline:
                    raise DataDirBusy(
                        f"The data folder {self._file.parent} is in use by process {owner}. "
                        "Stop it, or choose another folder with --data-dir."
                    ) from None
            time.sleep(0.05)


def _owner(descriptor: int) -> int:
    """The process id in the lock file; 0 when its owner has not written it yet."""
    return int(os.pread(descriptor, 32, 0).strip() or 0)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
