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
import tenacity

from app.db.pool import DATABASE_AWAY
from app.domain.errors import StorageUnavailable

log = structlog.get_logger()

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
"""What waiting does not mend: no room, or no right."""


def patient(step: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
    """`step` as it is, run again, whole, while the database is away: whatever it had begun was rolled back.

    A commit whose answer was lost may have happened, so a step must bear being run twice.
    """

    @wraps(step)
    def again(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        return retry(lambda: step(*args, **kwargs), lambda error: isinstance(error, DATABASE_AWAY))

    return again


def retry(
    step: Callable[[], Returned], away: Callable[[BaseException], bool], meanwhile: Callable[[], None] = lambda: None
) -> Returned:
    """What `step` answers, tried again for a minute while it fails with what `away` knows; then its error.

    The pauses double, with a random part, so that many workers do not knock together. `meanwhile` is called before
    each new try and may raise to stop the waiting.
    """

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        meanwhile()

    return tenacity.Retrying(
        sleep=pause,
        stop=tenacity.stop_before_delay(PATIENCE_SECONDS),
        wait=tenacity.wait_exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        + tenacity.wait_random(0, FIRST_PAUSE_SECONDS),
        retry=tenacity.retry_if_exception(away),
        before_sleep=_log_the_wait,
        reraise=True,
    )(step)


def reach_store(step: Callable[[], Returned], meanwhile: Callable[[], None]) -> Returned:
    """What `step`, which uses the object store, answers, waiting for a store that is away.

    Raises StorageUnavailable when that was in vain, and at once when the store is full or refuses us.
    """
    try:
        return retry(step, _store_is_away, meanwhile)
    except OSError as error:
        raise StorageUnavailable(
            f"The object store cannot be used: {error.strerror or error}.",
            hint="Bring it back, or make room in it, and retry the job: finished concerns are kept.",
        ) from error


def _store_is_away(error: BaseException) -> bool:
    """Whether an object store may yet answer; a full one, or one that refuses us, will not."""
    refused = isinstance(error, PermissionError | FileNotFoundError)
    return isinstance(error, OSError) and not refused and error.errno not in FULL


def _log_the_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome and state.outcome.exception()
    log.warning("dependency_unreachable", error=str(error).partition("\n")[0])
