"""`python -m worker`: a Celery worker that runs one job at a time, each in a fresh child process.

This parent never imports torch: a fork would inherit its threads' locks. The child imports it while it waits.
"""

import os

os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # Celery reads it on import: SIGTERM hands the job back, quickly

from app import logs
from app.queue import celery_app
from app.settings import Settings
from worker.tasks import register


def main() -> None:
    """Serve the queue until told to stop."""
    settings = Settings()
    if settings.broker_url is None:
        raise SystemExit("set MICROLITH_BROKER_URL, or run `microlith-server serve`, which brings its own worker")
    logs.configure(as_json=settings.log_json)
    celery = celery_app(settings.broker_url)
    register(celery, settings)
    celery.worker_main(
        ["worker", "--queues", settings.queues, "--without-gossip", "--without-mingle", "--loglevel=INFO"]
    )


if __name__ == "__main__":
    main()
