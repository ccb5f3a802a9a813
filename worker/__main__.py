"""`python -m worker`: a Celery worker that runs one job at a time, each in a fresh child process.

This parent never imports torch: a fork would inherit its threads' locks. The child imports it while it waits.
"""

import os
from contextlib import closing, suppress

os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # Celery reads it on import: SIGTERM hands the job back, quickly

from app import logs
from app.db.migrations import check_head
from app.db.pool import DATABASE_AWAY
from app.db.unit import Database
from app.domain.errors import SchemaMismatch
from app.queue import celery_app
from app.settings import Settings
from worker.tasks import register


def main() -> None:
    """Serve the queue until told to stop."""
    settings = Settings()
    if settings.broker_url is None or settings.database_url is None:
        missing = "MICROLITH_BROKER_URL" if settings.broker_url is None else "MICROLITH_DATABASE_URL"
        raise SystemExit(f"set {missing}, or run `microlith-server serve`, which brings its own worker")
    logs.configure(as_json=settings.log_json)
    refuse_another_schema(Database(settings.database_url))
    celery = celery_app(settings.broker_url)
    register(celery, settings)
    celery.worker_main(
        ["worker", "--queues", settings.queues, "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    )


def refuse_another_schema(database: Database) -> None:
    """Ends the program, with a sentence, where the database is of another release.

    One that is away is not waited for: it is looked at again before each job.
    """
    with closing(database), suppress(*DATABASE_AWAY):
        try:
            check_head(database.engine)
        except SchemaMismatch as error:
            raise SystemExit(f"{error.code}: {error.detail}") from None


if __name__ == "__main__":
    main()
