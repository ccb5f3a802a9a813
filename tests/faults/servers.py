"""PostgreSQL, Valkey and SeaweedFS that can be stopped or killed and come back on the same port with the same data."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded.child import Child, ChildFailed
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from tests.servers import S3Server, _has_bucket, _remove_sockets, _start_weed

START_SECONDS = 30.0


class Restartable:
    """A server process, running at first."""

    def __init__(self, child: Child, answers: Callable[[], bool]) -> None:
        self.child = child
        self._answers = answers

    def stop(self) -> None:
        """End it as an operator would; PostgreSQL's is the fast shutdown."""
        self.child.stop()

    def kill(self) -> None:
        """End it with SIGKILL, together with what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def start(self) -> None:
        """Bring it back and return when it answers. A killed PostgreSQL's last children may need a moment to go."""
        until = time.monotonic() + START_SECONDS
        while True:
            self.child = Child(self.child.command)
            try:
                return self.child.wait_until(self._answers, START_SECONDS)
            except ChildFailed:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    @property
    def up(self) -> bool:
        return self.child.exit_code is None


@contextmanager
def restartable_postgres(folder: Path) -> Iterator[tuple[str, Restartable]]:
    """The URL, in SQLAlchemy's form, and the server."""
    folder.mkdir()
    postgres = Postgres(folder, durable=False)  # what fsync guards against is a crash of the machine
    server = Restartable(postgres.child, lambda: answers_sql(postgres.url))
    try:
        yield postgres.url, server
    finally:
        server.stop()


@contextmanager
def restartable_valkey(folder: Path) -> Iterator[tuple[str, Restartable]]:
    """The URL and the server."""
    folder.mkdir()
    valkey = Valkey(folder)
    server = Restartable(valkey.child, lambda: answers_ping(valkey.url))
    try:
        yield valkey.url, server
    finally:
        server.stop()


@contextmanager
def restartable_weed(folder: Path) -> Iterator[tuple[S3Server, Restartable]]:
    """The place and the server."""
    folder.mkdir()
    place, weed = _start_weed(folder)
    server = Restartable(weed, lambda: _has_bucket(place))
    try:
        yield place, server
    finally:
        server.stop()
        _remove_sockets(weed)


def answers_sql(url: str) -> bool:
    """Whether the PostgreSQL there takes connections."""
    try:
        with psycopg.connect(url.replace("+psycopg", ""), connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


def answers_ping(url: str) -> bool:
    """Whether the Valkey there takes commands."""
    with redis.Redis.from_url(url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False
