"""Alembic from inside the program: bring the database to head, and say whether it is there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from alembic import command
from app.domain.errors import SchemaMismatch

_PACKAGED = Path(__file__).parent / "alembic"
_SOURCE = Path(__file__).parents[2] / "alembic"

LOCK = 0x6D6963726F  # one migration at a time, however many servers start at once


def migrate(engine: Engine) -> None:
    """Run every migration that is missing."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_head(engine: Engine) -> None:
    """Raises SchemaMismatch unless the database has every migration that this program knows, and no other."""
    with engine.connect() as connection:
        current = set(MigrationContext.configure(connection).get_current_heads())
    known, heads = _known()
    if current == heads:
        return
    if current <= known:
        raise SchemaMismatch("The database is older than this program: run `microlith-server migrate`.")
    raise SchemaMismatch("The database is newer than this program: run the release that has migrated it.")


@cache
def _known() -> tuple[frozenset[str], frozenset[str]]:
    """Every revision that the program has, and the newest."""
    scripts = ScriptDirectory.from_config(_config())
    return frozenset(script.revision for script in scripts.walk_revisions()), frozenset(scripts.get_heads())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_PACKAGED if _PACKAGED.is_dir() else _SOURCE))
    config.set_main_option("path_separator", "os")
    return config
