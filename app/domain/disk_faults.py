"""Faults of this machine's own disk, however a library tells of them: nobody's input is at fault, and nothing broke."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from app.domain.errors import MicrolithError, StorageUnavailable, VerificationFailed

FAULTS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE},
)
"""No room, no right to write at all, a broken disk, too many open files."""

NO_FOLDER = "No usable temporary directory"
"""What Python says where no temporary folder can be written, for whatever reason."""

_NUMBER = re.compile(r"\[errno (\d+)\]|\(os error (\d+)\)", re.IGNORECASE)
"""How the system's number stands in the texts of Python and Rust; libraries hand on no more than that."""


def disk_fault(error: BaseException, whose: str) -> StorageUnavailable | None:
    """What to say where a disk lies behind `error`, directly or as its cause; None where it does not.

    `whose` is who writes to it: the worker, the server. The store's own refusals have been told already.
    """
    if isinstance(error, StorageUnavailable):
        return None
    for one in _with_causes(error):
        reason = _reason(one)
        if reason is not None:
            return StorageUnavailable(
                f"{whose} cannot write to its own disk: {reason}.",
                hint="Free space in its temporary and data folders, then try again. What is finished is kept.",
            )
    return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)


def _reason(error: BaseException) -> str | None:
    if isinstance(error, MicrolithError) and not isinstance(error, VerificationFailed):
        return None  # its text may hold what somebody has written
    if isinstance(error, OSError) and error.errno in FAULTS:
        return os.strerror(error.errno)
    text = str(error)
    if NO_FOLDER in text:
        return "no temporary folder can be written"
    found = _NUMBER.search(text)
    number = int(found[1] or found[2]) if found else None
    return os.strerror(number) if number in FAULTS and number is not None else None
