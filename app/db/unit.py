"""The unit of work: one transaction with the stores that live in it. Nothing else in the system commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property

from pydantic_core import from_json
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from app.db import locks
from app.db.artifacts import ArtifactStore
from app.db.events import EventStore
from app.db.idempotency import IdempotencyStore
from app.db.jobs import JobStore
from app.db.modules import ModuleStore
from app.db.pool import survive_restarts
from app.db.sessions import SessionStore
from app.db.shards import ShardStore
from app.db.sources import SourceStore
from app.db.text import to_json
from app.db.uploads import UploadStore

CONNECTION: dict[str, str | int] = {
    "application_name": "microlith",
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # ms: a server behind a broken line fails instead of hanging
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


class Unit:
    """One transaction. Work that must follow the commit (ringing the doorbell, deleting objects) waits for it here."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.follow_ups: list[Callable[[], None]] = []

    def after_commit(self, follow_up: Callable[[], None]) -> None:
        """Run `follow_up` once the transaction is committed; never if it is rolled back."""
        self.follow_ups.append(follow_up)

    @cached_property
    def jobs(self) -> JobStore:
        return JobStore(self.session)

    @cached_property
    def events(self) -> EventStore:
        return EventStore(self.session)

    @cached_property
    def modules(self) -> ModuleStore:
        return ModuleStore(self.session)

    @cached_property
    def shards(self) -> ShardStore:
        return ShardStore(self.session)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.session)

    @cached_property
    def uploads(self) -> UploadStore:
        return UploadStore(self.session)

    @cached_property
    def sources(self) -> SourceStore:
        return SourceStore(self.session)

    @cached_property
    def sessions(self) -> SessionStore:
        return SessionStore(self.session)

    @cached_property
    def idempotency(self) -> IdempotencyStore:
        return IdempotencyStore(self.session)


class Database:
    """The connection pool and the only place transactions begin and end."""

    def __init__(
        self, url: str, *, pool_size: int = 10, overflow: int = 10, statement_seconds: float | None = None
    ) -> None:
        """`overflow` more connections than are kept may be in use; a statement that takes too long is an error."""
        limit = {} if statement_seconds is None else {"options": f"-c statement_timeout={statement_seconds:g}s"}
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=overflow,
            connect_args=CONNECTION | limit,
            json_serializer=to_json,
            json_deserializer=from_json,
        )
        survive_restarts(self.engine)

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """A unit of work: committed when the block ends, rolled back when it raises, then its follow-ups run."""
        unit = self.begun()
        with self.finishing(unit):
            yield unit

    def begun(self) -> Unit:
        """A unit of work that holds nothing yet: its first statement takes a connection. `finishing` ends it."""
        return Unit(Session(self.engine, expire_on_commit=False))

    @contextmanager
    def finishing(self, unit: Unit) -> Iterator[None]:
        """Commit when the block ends, roll back when it raises, and run the follow-ups without a connection."""
        with unit.session as session, session.begin():
            yield
        for follow_up in unit.follow_ups:
            follow_up()

    @contextmanager
    def glance(self) -> Iterator[Unit]:
        """For reading alone: each statement sees what is committed then, and no transaction begins or ends for it."""
        with Session(self.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
            yield Unit(session)

    def shielded(self, names: Iterable[str]) -> AbstractContextManager[None]:
        """Hold the names of objects against `alone` while the block runs; many may."""
        return locks.shielded(self.engine, names)

    def try_lock(self, name: str) -> AbstractContextManager[bool]:
        """Whether nobody else holds the name; if so, nobody does while the block runs."""
        return locks.try_lock(self.engine, name)

    def check(self) -> None:
        """Raises when the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()
