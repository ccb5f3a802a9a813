"""Where the students of a job are kept as they learn: in the object store, where a later attempt finds them."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.services.sweeping import STUDENTS
from worker.attempt.attempt import Attempt
from worker.distilling.study_file import MEDIA_TYPE, load, save
from worker.distilling.training import Study

KEPT_SECONDS = 30.0
"""A state is kept at most so often, and in the end."""


@dataclass
class StudyStore:
    """The studies of one job, by the number of the ratio in its spec."""

    attempt: Attempt
    scratch: Path
    _kept: float = field(default_factory=time.monotonic)

    def find(self, number: int) -> Study:
        """How far an earlier attempt has come; the beginning where there was none."""
        key, objects = self._key(number), self.attempt.objects

        def fetch() -> bool:
            if objects.head(key) is None:
                return False
            objects.download(key, self._file)
            return True

        return load(self._file) if self.attempt.reach_store(fetch) else Study()

    def keep(self, number: int, study: Study) -> None:
        """Leaves a study for a later attempt, unless one was left just now."""
        if not study.over and time.monotonic() - self._kept < KEPT_SECONDS:
            return
        save(study, self._file)
        key, objects = self._key(number), self.attempt.objects
        self.attempt.reach_store(lambda: objects.put_file(key, self._file, MEDIA_TYPE, replace=True))
        self._kept = time.monotonic()

    def forget(self, numbers: int) -> None:
        """Takes the first so many away; what stays is swept."""
        with suppress(OSError):
            for number in range(numbers):
                self.attempt.objects.delete(self._key(number))

    def _key(self, number: int) -> str:
        return f"{STUDENTS}/{self.attempt.lease.job_id}/{number}.safetensors"

    @property
    def _file(self) -> Path:
        return self.scratch / "study.safetensors"
