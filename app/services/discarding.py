"""Deleting objects that nothing names, and nothing else.

An object that is being published or sealed has no row yet: whoever does it holds its name until the row is there. So an
object goes only when nobody holds its name, and after one more look for a row.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from app.services.backend import Backend

log = structlog.get_logger()


def discard(backend: Backend, keys: Iterable[str]) -> None:
    """Delete the objects that nothing names. A store that is away is no error: the sweep comes by again."""
    for key in unnamed(backend, keys):
        with backend.database.try_lock(key) as free:
            if free and unnamed(backend, [key]):
                _delete(backend, key)


def unnamed(backend: Backend, keys: Iterable[str]) -> set[str]:
    """Those of `keys` that neither an artifact nor an upload names."""
    candidates = set(keys)
    with backend.database.unit() as unit:
        return candidates - unit.artifacts.named(candidates) - unit.uploads.named(candidates)


def _delete(backend: Backend, key: str) -> None:
    try:
        backend.objects.delete(key)
    except OSError as error:
        log.warning("object_delete_failed", key=key, error=str(error))
