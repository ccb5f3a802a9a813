"""Folders for work in progress: gone when the work is over, and swept by the next job when a process was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.domain.errors import StorageUnavailable

NAME = re.compile(r"microlith-job-(\d+)-.*")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of this process, removed with all that is in it when the block ends.

    Raises StorageUnavailable where the temporary folder is not there or cannot be written.
    """
    try:
        _remove_leftovers(Path(tempfile.gettempdir()))
        made = tempfile.TemporaryDirectory(prefix=f"microlith-job-{os.getpid()}-")
    except OSError as error:
        raise StorageUnavailable(
            f"The worker cannot make a folder for its work: {error.strerror or 'no temporary folder can be written'}.",
            hint="Give it a temporary folder (TMPDIR) that is there and has room, then retry the job.",
        ) from error
    with made as folder:
        yield Path(folder)


def _remove_leftovers(temporary: Path) -> None:
    """Folders whose process is no more: it was killed before it could clean up."""
    for folder in temporary.glob("microlith-job-*"):
        name = NAME.fullmatch(folder.name)
        if name and not _runs(int(name[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's process, but a process
        return True
    return True
