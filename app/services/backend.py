"""What a process holds for as long as it lives: settings, database, objects, queue and feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.db.migrations import check_head
from app.db.unit import Database
from app.queue import Queue
from app.services.feed import JobFeed
from app.services.lanes import Lanes
from app.settings import Settings
from app.storage import ObjectStore, open_store

STATEMENT_SECONDS = 5.0
"""What a request may ask of the database at once."""


@dataclass(frozen=True)
class Backend:
    """Opened once, passed in, closed once."""

    settings: Settings
    database: Database
    objects: ObjectStore
    queue: Queue
    feed: JobFeed
    lanes: Lanes = field(default_factory=Lanes)

    @classmethod
    def open(cls, settings: Settings, *, create_store: bool = True) -> Backend:
        """Connect lazily to everything the settings name. Raises when one is not named.

        With `create_store` an object folder that is missing is made: whoever starts the service may, a worker may not.
        """
        database_url = _needed(settings.database_url, "MICROLITH_DATABASE_URL")
        return cls(
            settings=settings,
            database=Database(database_url),
            objects=open_objects(settings, create=create_store),
            queue=Queue(_needed(settings.broker_url, "MICROLITH_BROKER_URL")),
            feed=JobFeed(database_url),
        )

    def for_requests(self) -> Backend:
        """The same with connections of its own: one for each thread of the lanes, each statement within a time."""
        url = _needed(self.settings.database_url, "MICROLITH_DATABASE_URL")
        threads = self.lanes.threads
        database = Database(url, pool_size=threads, overflow=threads // 2, statement_seconds=STATEMENT_SECONDS)
        return replace(self, database=database)

    def close(self) -> None:
        self.database.close()

    def checks(self) -> dict[str, Callable[[], None]]:
        """How each part is asked whether it can be used; the question raises when it cannot."""
        return {
            "database": self.database.check,
            "migrations": self.check_schema,
            "broker": self.queue.check,
            "objects": self.objects.check,
        }

    def check_schema(self) -> None:
        """Raises SchemaMismatch unless the database is of this program's release."""
        check_head(self.database.engine)


def open_objects(settings: Settings, *, create: bool = True) -> ObjectStore:
    """The object store the settings name."""
    secret = settings.s3_secret_key
    return open_store(
        _needed(settings.object_store_url, "MICROLITH_OBJECT_STORE_URL"),
        endpoint=settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=secret.get_secret_value() if secret else None,
        region=settings.s3_region,
        public_endpoint=settings.s3_public_endpoint,
        create=create,
    )


def _needed(value: str | None, name: str) -> str:
    if value is None:
        raise RuntimeError(f"set {name}, or run `microlith-server serve`, which brings its own")
    return value
