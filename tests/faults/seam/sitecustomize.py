"""Python runs this at the start of every process of an embedded site: its folder is on their PYTHONPATH.

The server's own worker waits here until a test wants it, then becomes what the test's orders say, see `mischief.py`.
The server starts again what died without the pauses it makes in production.
"""

import json
import os
import sys
import time
from pathlib import Path

if sys.orig_argv[1:3] == ["-m", "worker"]:
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")  # as worker.__main__ does, before Celery is imported
    import worker.tasks
    from tests.faults import light, mischief

    orders = Path(os.environ["FAULTS_ORDERS"])
    while not orders.exists():
        time.sleep(0.02)
    os.environ.update(json.loads(orders.read_text()))
    orders.with_suffix(f".{os.getpid()}").touch()  # it has them, and whoever gave them can see so
    if os.environ["FAULTS_KIND"] == "light":
        light.install()
        import worker.attempt.run  # noqa: F401  once, not in every job's process
    mischief.prepare()
elif "serve" in sys.orig_argv:
    from app.embedded import supervised

    supervised.FIRST_PAUSE_SECONDS = supervised.LONGEST_PAUSE_SECONDS = 0.1
