"""Celery's pool of child processes, but one that has ended is replaced at once, and one without a job ends at once."""

from __future__ import annotations

from typing import Any

from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool

EXIT_SECONDS = 1.0
"""For a process that has closed its files to be gone: the next thing the kernel does."""


class PromptPool(AsynPool):
    """A child's end is heard by a pipe, which closes a moment before the kernel lets anybody wait for the process.

    Celery looks once, is often too early, and looks again when its timer comes by, after up to 5 s. As each child runs
    one job, every second job would stand that long.
    """

    def _event_process_exit(self, hub: Any, process: Any) -> None:
        process._popen.wait(EXIT_SECONDS)
        super()._event_process_exit(hub, process)


class TaskPool(prefork.TaskPool):
    """What `worker_pool` names."""

    Pool = PromptPool

    def on_stop(self) -> None:
        """The end; Celery would wait until a child that has no job has imported all that it needs for one.

        A child with a job has been told already, and is waited for while it hands the job back.
        """
        if self._pool is not None and not self._pool._cache:
            for process in self._pool._pool:
                process.terminate_controlled()
        super().on_stop()
