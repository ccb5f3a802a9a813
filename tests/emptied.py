"""A service on the test servers, with nothing in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from app.db.tables import Table
from app.services.backend import Backend
from app.settings import Settings
from tests import assets

READABLE = tuple(place for place in (Path(tempfile.gettempdir()), assets.FOLDER.parent, Path.cwd()) if place.is_dir())
"""Where the tests' models and data are."""


def settings_in(folder: Path, postgres: str, broker: str) -> Settings:
    """One whose files lie in this folder, open to `path:` references as the embedded default is.

    Its worker is this process, which serves many jobs.
    """
    return Settings(
        database_url=postgres,
        broker_url=broker,
        object_store_url=(folder / "data" / "objects").as_uri(),
        data_dir=folder / "data",
        allow_paths=READABLE,
        lease_seconds=5,
        jobs_per_child=100,
    )


@contextmanager
def empty_backend(settings: Settings) -> Iterator[Backend]:
    """Its parts; whatever the database held is gone."""
    (settings.data_dir / "objects").mkdir(parents=True)
    backend = Backend.open(settings)
    tables = ", ".join(table.name for table in Table.metadata.sorted_tables)
    with backend.database.engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables}"))
    yield backend
    backend.close()
