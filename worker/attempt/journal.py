"""What a running job writes down: its phases, its progress, what its spec resolved to, its modules as they are ready.

Every line is written under the lease, so a worker that has lost its job leaves no trace.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app.db.pool import DATABASE_AWAY
from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.domain.errors import SourceUnavailable
from app.domain.layouts import MASK
from app.queue import Queue
from app.services.local_copies import Shelves, registered
from app.services.registry import describe
from app.sources.references import Shelf, is_registered
from app.storage import ObjectStore
from microlith.contract import (
    BaseResult,
    Combination,
    Concern,
    EarlyScore,
    JobSpec,
    Latency,
    ModelInfo,
    Overlap,
    Phase,
    Prediction,
    Progress,
    Resolved,
)
from worker.attempt.lease import Lease
from worker.attempt.retrying import patient, reached
from worker.attempt.rows import attach, attach_to_set, is_sound, key_of, put, record
from worker.packaging.archive import MEDIA_TYPE, Archive

PROGRESS_SECONDS = 0.5
"""Progress is written at most so often; what matters besides is written at once."""

LEAST_SHARE = 0.03
"""Of the work that must be done before the rest is forecast from it."""


@dataclass
class Journal:
    """The writing hand of one attempt."""

    lease: Lease
    objects: ObjectStore
    queue: Queue
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
        self._enter(phase)
        began = time.monotonic()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.monotonic() - began

    @contextmanager
    def shelf(self, spec: JobSpec, *, model_only: bool = False) -> Iterator[Shelf]:
        """What the spec names of its caller's registered sources. SourceUnavailable for what was deleted meanwhile."""
        with ExitStack() as held:
            shelf = self._hold(spec, held, model_only)
            gone = ", ".join(sorted(registered(spec, model_only=model_only) - shelf.keys()))
            if gone:
                raise SourceUnavailable(
                    f"{gone} was deleted before the job ran.",
                    hint="Upload it again and submit a new job with its new id.",
                )
            yield shelf

    def expect(self, rows: int) -> None:
        """How many rows the job will pass through a model: what progress is counted in, from now on."""
        self.total = rows
        self.began = time.monotonic()

    def leave(self, rows: int) -> None:
        """All but so many rows are done, by whomever."""
        self.done = self.total - rows

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

    @patient
    def resolve(self, resolved: Resolved, concerns: int) -> None:
        """What the spec came to."""
        with self.lease.write() as (_, job):
            job.resolved = resolved.model_dump()
            job.concerns_total = concerns

    @patient
    def introduce(self, ref: str, model: ModelInfo) -> None:
        """Give a model that was registered by its name alone the facts it has on the hub."""
        if is_registered(ref):
            with self.lease.write() as (unit, _):
                describe(unit, ref, self.lease.owner, model)

    @patient
    def publish_base(self, base: BaseResult) -> None:
        """The base's own measures."""
        with self.lease.write() as (_, job):
            job.base = base.model_dump()

    @patient
    def publish_overlap(self, overlaps: Sequence[Overlap]) -> None:
        """How much the modules share, at each ratio."""
        with self.lease.write() as (_, job):
            job.overlap = [overlap.model_dump() for overlap in overlaps]

    @patient
    def estimate(self, concern: Concern, ratio: float, found: EarlyScore) -> None:
        """What a module that is not measured yet may be like."""
        data = {"concern": concern.model_dump(), "ratio": ratio} | found.model_dump(mode="json")
        with self.lease.write() as (unit, job):
            unit.events.append(job, "module.estimated", data, unit.jobs.now())

    def published(self) -> set[tuple[int, float]]:
        """Concern and ratio of every module that earlier attempts made and whose files are as they were stored.

        A layout that was ordered later is not this job's to make: a damaged one is forgotten, to be ordered again.
        """
        made, own = set(), {*self.lease.spec.export.layouts, MASK}
        for module, artifacts in self._made():
            damaged = [artifact for artifact in artifacts if not self._is_sound(artifact)]
            self._forget([artifact.id for artifact in damaged if artifact.layout not in own])
            if not any(artifact.layout in own for artifact in damaged):
                made.add((module.concern_id, module.ratio))
        return made

    @patient
    def publish(self, concern: Concern, ratio: float, facts: dict[str, object], archives: Sequence[Archive]) -> None:
        """Store the files, then make module and artifacts visible together, in place of damaged ones that were there.

        Raises StorageUnavailable when the store has been away, or full, for too long.
        """
        with self._stored(archives), self.lease.write() as (unit, job):
            record(unit, job, concern, ratio, facts, archives, self.lease.spec.export.layouts)
            job.concerns_succeeded = self._finished(unit.modules.of_job(job.id))

    @patient
    def attach(self, module_id: str, archive: Archive, latencies: Sequence[Latency]) -> None:
        """Store one more layout of a module of an earlier job, then make it visible. Raises NotFound for one gone."""
        with self._stored([archive]), self.lease.write() as (unit, job):
            attach(unit, job, module_id, archive, latencies)
            job.concerns_succeeded = 1

    @patient
    def attach_to_set(self, job_id: str, archive: Archive, latencies: Sequence[Latency]) -> None:
        """The same for the class set that a combining job has made."""
        with self._stored([archive]), self.lease.write() as (unit, job):
            attach_to_set(unit, job, job_id, archive, latencies)
            job.concerns_succeeded = 1

    @patient
    def publish_combination(self, combination: Combination, archives: Sequence[Archive]) -> None:
        """Store what the modules became, then make it visible with all there is to say of it."""
        with self._stored(archives), self.lease.write() as (unit, job):
            job.combination = combination.model_dump(mode="json")
            job.concerns_succeeded = len(combination.labels)
            there = unit.artifacts.of_job(job.id)
            for archive in archives:
                put(unit, there, archive, job_id=job.id)

    @patient
    def publish_prediction(self, prediction: Prediction) -> None:
        """What a module and its base make of texts."""
        with self.lease.write() as (_, job):
            job.prediction = prediction.model_dump(mode="json")
            job.concerns_succeeded = 1

    def fetch(self, artifact: ArtifactRow, file: Path) -> None:
        """Bring a stored file here. Raises StorageUnavailable."""
        reached(lambda: self.objects.download(artifact.key, file), self.lease.checkpoint)

    def close(self, job: JobRow) -> None:
        """The last word of an attempt that succeeded."""
        self.done = self.total
        self._note(job)

    @patient
    def _hold(self, spec: JobSpec, held: ExitStack, model_only: bool) -> Shelf:
        shelves = Shelves(self.lease.database, self.objects, self.lease.settings, self.lease.owner)
        return reached(lambda: held.enter_context(shelves.shelf(spec, model_only=model_only)), self.lease.checkpoint)

    @patient
    def _enter(self, phase: Phase) -> None:
        with self.lease.write() as (unit, job):
            job.phase = phase
            if phase not in self.entered:
                unit.events.append(job, "job.phase", {"phase": phase}, unit.jobs.now())
        self.entered.add(phase)

    @patient
    def _made(self) -> list[tuple[ModuleRow, list[ArtifactRow]]]:
        with self.lease.write() as (unit, _):
            modules = unit.modules.of_job(self.lease.job_id)
            artifacts = unit.artifacts.of_modules(module.id for module in modules)
        return [(module, [a for a in artifacts if a.module_id == module.id]) for module in modules]

    def _is_sound(self, artifact: ArtifactRow) -> bool:
        def look() -> bool:
            return is_sound(self.objects, artifact, thorough=self.lease.repairing)

        return reached(look, self.lease.checkpoint)

    @contextmanager
    def _stored(self, archives: Sequence[Archive]) -> Iterator[None]:
        """The files are in the store, and kept from the sweep until the rows of the block name them."""
        with self.lease.database.shielded(key_of(archive) for archive in archives):
            for archive in archives:
                reached(partial(self._put, archive), self.lease.checkpoint)
            yield

    def _put(self, archive: Archive) -> None:
        self.objects.put_file(key_of(archive), archive.path, MEDIA_TYPE, replace=self.lease.repairing)

    @patient
    def _forget(self, artifact_ids: Sequence[str]) -> None:
        with self.lease.write() as (unit, _):
            for artifact_id in artifact_ids:
                unit.artifacts.delete(artifact_id)

    def _advance(self, done: int) -> None:
        self.lease.checkpoint()
        self.done = done
        if time.monotonic() - self.written > PROGRESS_SECONDS:
            self.written = time.monotonic()
            with suppress(*DATABASE_AWAY):  # progress is no reason to wait: more of it comes
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
