"""What an attempt does when a server it needs is away: it waits a while before it gives anything up.

A restart of the database or of the object store costs a running job some seconds, not its work.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import structlog

from app.db.pool import DATABASE_AWAY
from app.domain.errors import StorageUnavailable

log = structlog.get_logger()

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
"""What waiting does not mend: no room, or no right."""


def patient(step: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """`step` as it is, run again, whole, while the database is away: whatever it had begun was rolled back.

    A commit whose answer was lost may have happened, so a step must bear being run twice.
    """

    @wraps(step)
    def again(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        return patiently(lambda: step(*args, **kwargs), lambda error: isinstance(error, DATABASE_AWAY))

    return again


def patiently(
    step: Callable[[], Answer], away: Callable[[Exception], bool], meanwhile: Callable[[], None] = lambda: None
) -> Answer:
    """What `step` answers, tried again for a minute while it fails with what `away` knows; then its error.

    `meanwhile` is called before each new try and may raise to stop the waiting.
    """
    until, pause = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        try:
            return step()
        except Exception as error:
            if not away(error) or time.monotonic() + pause > until:
                raise
            log.warning("dependency_unreachable", error=str(error).splitlines()[0])
        time.sleep(pause)
        meanwhile()
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def reached(step: Callable[[], Answer], meanwhile: Callable[[], None]) -> Answer:
    """What `step`, which uses the object store, answers, waiting for a store that is away.

    Raises StorageUnavailable when that was in vain, and at once when the store is full or refuses us.
    """
    try:
        return patiently(step, _store_is_away, meanwhile)
    except OSError as error:
        raise StorageUnavailable(
            f"The object store cannot be used: {error.strerror or error}.",
            hint="Bring it back, or make room in it, and retry the job: finished concerns are kept.",
        ) from error


def _store_is_away(error: Exception) -> bool:
    """Whether an object store may yet answer; a full one, or one that refuses us, will not."""
    refused = isinstance(error, PermissionError | FileNotFoundError)
    return isinstance(error, OSError) and not refused and error.errno not in FULL
