"""A service on the test servers, with nothing in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from app.db.tables import Table
from app.services.backend import Backend
from app.settings import Settings


def settings_in(folder: Path, postgres: str, broker: str) -> Settings:
    """One whose files lie in this folder, open to `path:` references as the embedded default is.

    Its worker is this process, which serves many jobs.
    """
    return Settings(
        database_url=postgres,
        broker_url=broker,
        object_store_url=(folder / "objects").as_uri(),
        data_dir=folder,
        allow_paths=True,
        lease_seconds=5,
        jobs_per_child=100,
    )


@contextmanager
def empty_backend(settings: Settings) -> Iterator[Backend]:
    """Its parts; whatever the database held is gone."""
    (settings.data_dir / "objects").mkdir()
    backend = Backend.open(settings)
    tables = ", ".join(table.name for table in Table.metadata.sorted_tables)
    with backend.database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    yield backend
    backend.close()
