"""Locks on names, held across transactions: whoever publishes an object shields it from whoever removes the unnamed.

They are PostgreSQL's session-level advisory locks on a connection of their own, so that no transaction is open while
files travel, and a process that dies holds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError


@contextmanager
def shielded(engine: Engine, names: Iterable[str]) -> Iterator[None]:
    """Hold `names` together with any number of others who do so; waits for one who has a name alone."""
    with _session(engine) as connection:
        for name in sorted(set(names)):
            connection.execute(select(func.pg_advisory_lock_shared(_number(name))))
        yield


@contextmanager
def try_lock(engine: Engine, name: str) -> Iterator[bool]:
    """Whether nobody else holds `name`; if so, nobody else does while the block runs."""
    with _session(engine) as connection:
        yield bool(connection.scalar(select(func.pg_try_advisory_lock(_number(name)))))


@contextmanager
def _session(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection
        finally:
            if not connection.invalidated:  # one that broke holds no lock
                with suppress(DBAPIError):
                    connection.execute(select(func.pg_advisory_unlock_all()))


def _number(name: str) -> Any:
    return func.hashtextextended(f"object\n{name}", 0)
