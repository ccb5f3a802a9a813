"""Alembic's entry: runs on the connection it is handed, or on MICROLITH_DATABASE_URL when called by hand."""

from sqlalchemy import Connection, create_engine

from alembic import context
from app.db.tables import Table
from app.settings import Settings


def run(connection: Connection) -> None:
    """Apply the migrations on `connection`."""
    context.configure(connection=connection, target_metadata=Table.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    url = Settings().database_url
    if url is None:
        raise SystemExit("set MICROLITH_DATABASE_URL to the PostgreSQL to migrate")
    with create_engine(url).begin() as own:
        run(own)
