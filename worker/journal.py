"""What a running job writes down: its phases, its progress, what its spec resolved to, its modules as they are ready.

Every line is written under the lease, so a worker that has lost its job leaves no trace.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.domain.ids import new_id
from app.storage import ObjectStore, content_key
from microlith.contract import BaseResult, Concern, Overlap, Phase, Progress, Resolved
from worker.lease import Lease
from worker.packaging.archive import Archive

PROGRESS_SECONDS = 0.5
"""Progress is written at most so often; what matters besides is written at once."""

LEAST_SHARE = 0.03
"""Of the work that must be done before the rest is forecast from it."""


@dataclass
class Journal:
    """The writing hand of one attempt."""

    lease: Lease
    objects: ObjectStore
    total: int = 0
    done: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    lapped: dict[str, float] = field(default_factory=dict)
    entered: set[Phase] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    written: float = 0.0

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time spent in the block is the phase's. The first entry into a phase is an event."""
        self.lease.checkpoint()
        with self.lease.write() as (unit, job):
            job.phase = phase
            if phase not in self.entered:
                unit.events.append(job, "job.phase", {"phase": phase}, unit.jobs.now())
        self.entered.add(phase)
        began = time.monotonic()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.monotonic() - began

    def expect(self, rows: int) -> None:
        """How many rows the job will pass through a model: what progress is counted in, from now on."""
        self.total = rows
        self.began = time.monotonic()

    def follow(self) -> Callable[[int], None]:
        """A checkpoint for one piece of work, told how many of its rows are done.

        It meets a cancel, a deadline or a lost lease by raising it, and writes progress now and then.
        """
        before = self.done

        def checkpoint(rows: int) -> None:
            self._advance(before + rows)

        return checkpoint

    def alive(self, _rows: int) -> None:
        """A checkpoint for work that progress does not count: it meets what must be met, and writes nothing."""
        self.lease.checkpoint()

    def lap(self) -> dict[str, float]:
        """Seconds spent in each phase since the last lap: one module's share."""
        spent = {phase: seconds - self.lapped.get(phase, 0.0) for phase, seconds in self.timings.items()}
        self.lapped = dict(self.timings)
        return {phase: seconds for phase, seconds in spent.items() if seconds > 0}

    def resolve(self, resolved: Resolved, concerns: int) -> None:
        """What the spec came to."""
        with self.lease.write() as (_, job):
            job.resolved = resolved.model_dump()
            job.concerns_total = concerns

    def publish_base(self, base: BaseResult) -> None:
        """The base's own measures."""
        with self.lease.write() as (_, job):
            job.base = base.model_dump()

    def publish_overlap(self, overlaps: Sequence[Overlap]) -> None:
        """How much the modules share, at each ratio."""
        with self.lease.write() as (_, job):
            job.overlap = [overlap.model_dump() for overlap in overlaps]

    def published(self) -> set[tuple[int, float]]:
        """Concern and ratio of every module that is there already, made by earlier attempts."""
        with self.lease.write() as (unit, _):
            return {(module.concern_id, module.ratio) for module in unit.modules.of_job(self.lease.job_id)}

    def publish(self, concern: Concern, ratio: float, facts: dict[str, object], archive: Archive) -> None:
        """Store the artifact, then make module and artifact visible together."""
        key = content_key(archive.sha256, ".zip")
        self.objects.put_file(key, archive.path, "application/zip")
        with self.lease.write() as (unit, job):
            now = unit.jobs.now()
            module = ModuleRow(
                id=new_id("mod"), job_id=job.id, concern_id=concern.id, ratio=ratio, facts=facts, created_at=now
            )
            unit.modules.add(module)
            unit.artifacts.add(
                ArtifactRow(
                    id=new_id("art"),
                    module_id=module.id,
                    layout="portable",
                    media_type="application/zip",
                    size_bytes=archive.size_bytes,
                    sha256=archive.sha256,
                    key=key,
                    filename=archive.path.name,
                    files=[file.model_dump() for file in archive.files],
                    created_at=now,
                )
            )
            job.concerns_succeeded = self._finished(unit.modules.of_job(job.id))
            data = {"module_id": module.id, "concern": concern.model_dump(), "ratio": ratio}
            unit.events.append(job, "module.ready", data, now)

    def close(self, job: JobRow) -> None:
        """The last word of an attempt that succeeded."""
        self.done = self.total
        self._note(job)

    def _advance(self, done: int) -> None:
        self.lease.checkpoint()
        self.done = done
        if time.monotonic() - self.written > PROGRESS_SECONDS:
            self.written = time.monotonic()
            self._write_progress()

    def _finished(self, modules: Sequence[ModuleRow]) -> int:
        """Concerns that have a module at every ratio."""
        made = Counter(module.concern_id for module in modules)
        return sum(count == len(self.lease.spec.ratios) for count in made.values())

    def _note(self, job: JobRow) -> Progress:
        progress = self._progress()
        job.progress = progress.model_dump()
        job.timings = {phase: round(seconds, 3) for phase, seconds in self.timings.items()}
        return progress

    def _write_progress(self) -> None:
        with self.lease.write() as (unit, job):
            progress = self._note(job)
            unit.events.append(job, "job.progress", progress.model_dump(), unit.jobs.now())

    def _progress(self) -> Progress:
        if not self.total:
            return Progress()
        share = min(self.done / self.total, 1.0)
        elapsed = time.monotonic() - self.began
        eta = elapsed * (1 - share) / share if share >= LEAST_SHARE else None
        return Progress(
            percent=round(100 * share, 1), done=self.done, total=self.total, eta_seconds=eta and round(eta, 1)
        )
