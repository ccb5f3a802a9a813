"""Alembic from inside the program: bring the database to head, and say whether it is there."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from alembic import command

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


def at_head(engine: Engine) -> bool:
    """Whether the database has every migration this program knows."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_heads()
    return set(current) == set(ScriptDirectory.from_config(_config()).get_heads())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_PACKAGED if _PACKAGED.is_dir() else _SOURCE))
    config.set_main_option("path_separator", "os")
    return config
