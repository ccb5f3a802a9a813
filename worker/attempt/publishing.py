"""What an attempt makes visible: what its spec resolved to, the base's measures, its modules as they are ready.

Files are stored first, then the rows that name them are written (`module_rows`), under the lease: a worker that has
lost its job leaves no trace. Every step waits for a database, and an object store, that is away for a while.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from app.db.tables import ArtifactRow, ModuleRow
from app.domain.layouts import MASK
from app.services.registry import describe
from app.sources.references import is_registered
from app.storage import ObjectStore
from microlith.contract import (
    Baselines,
    BaseResult,
    Combination,
    Concern,
    EarlyScore,
    Latency,
    ModelInfo,
    Overlap,
    Prediction,
    Resolved,
)
from worker.attempt.lease import Lease
from worker.attempt.module_rows import (
    is_sound,
    key_of,
    write_artifact,
    write_class_set_layout,
    write_layout,
    write_module,
)
from worker.attempt.retrying import patient, reach_store
from worker.packaging.archive import MEDIA_TYPE, Archive


@dataclass(frozen=True)
class Publisher:
    """Publishes what one attempt makes."""

    lease: Lease
    objects: ObjectStore

    @patient
    def publish_resolved(self, resolved: Resolved, concerns: int) -> None:
        """What the spec came to, and how many concerns that is."""
        with self.lease.write() as (_, job):
            job.resolved = resolved.model_dump()
            job.concerns_total = concerns

    @patient
    def describe_model(self, ref: str, model: ModelInfo) -> None:
        """Give a model that was registered by its name alone the facts it has on the hub."""
        if is_registered(ref):
            with self.lease.write() as (unit, _):
                describe(unit, ref, self.lease.owner, model)

    @patient
    def publish_base(self, base: BaseResult, baselines: Baselines | None = None) -> None:
        """The base's own measures, and those of what is had without it."""
        with self.lease.write() as (_, job):
            job.base = base.model_dump() | {"baselines": baselines and baselines.model_dump()}

    @patient
    def publish_overlap(self, overlaps: Sequence[Overlap]) -> None:
        """How much the modules share, at each ratio."""
        with self.lease.write() as (_, job):
            job.overlap = [overlap.model_dump() for overlap in overlaps]

    @patient
    def publish_estimate(self, concern: Concern, ratio: float, estimate: EarlyScore) -> None:
        """What a module that is not measured yet may be like."""
        data = {"concern": concern.model_dump(), "ratio": ratio} | estimate.model_dump(mode="json")
        with self.lease.write() as (unit, job):
            unit.events.append(job, "module.estimated", data, unit.jobs.now())

    def find_published(self) -> set[tuple[int, float]]:
        """Concern and ratio of every module that earlier attempts made and whose files are as they were stored.

        A layout that was ordered later is not this job's to make: a damaged one is forgotten, to be ordered again.
        """
        published, own = set(), {*self.lease.spec.export.layouts, MASK}
        for module, artifacts in self._find_modules():
            damaged = [artifact for artifact in artifacts if not self._is_sound(artifact)]
            self._forget([artifact.id for artifact in damaged if artifact.layout not in own])
            if not any(artifact.layout in own for artifact in damaged):
                published.add((module.concern_id, module.ratio))
        return published

    @patient
    def publish_module(
        self, concern: Concern, ratio: float, facts: dict[str, object], archives: Sequence[Archive]
    ) -> None:
        """Store the files, then make module and artifacts visible together, in place of damaged ones that were there.

        Raises StorageUnavailable when the store has been away, or full, for too long.
        """
        with self._store(archives), self.lease.write() as (unit, job):
            write_module(unit, job, concern, ratio, facts, archives, self.lease.spec.export.layouts)
            made = Counter(module.concern_id for module in unit.modules.of_job(job.id))
            job.concerns_succeeded = sum(count == len(self.lease.spec.ratios) for count in made.values())

    @patient
    def attach_layout(self, module_id: str, archive: Archive, latencies: Sequence[Latency]) -> None:
        """Store one more layout of a module of an earlier job, then make it visible. Raises NotFound for one gone."""
        with self._store([archive]), self.lease.write() as (unit, job):
            write_layout(unit, job, module_id, archive, latencies)
            job.concerns_succeeded = 1

    @patient
    def attach_class_set_layout(self, job_id: str, archive: Archive, latencies: Sequence[Latency]) -> None:
        """The same for the class set that a combining job has made."""
        with self._store([archive]), self.lease.write() as (unit, job):
            write_class_set_layout(unit, job, job_id, archive, latencies)
            job.concerns_succeeded = 1

    @patient
    def publish_combination(self, combination: Combination, archives: Sequence[Archive]) -> None:
        """Store what the modules became, then make it visible with all there is to say of it."""
        with self._store(archives), self.lease.write() as (unit, job):
            job.combination = combination.model_dump(mode="json")
            job.concerns_succeeded = len(combination.labels)
            artifacts = unit.artifacts.of_job(job.id)
            for archive in archives:
                write_artifact(unit, artifacts, archive, job_id=job.id)

    @patient
    def publish_prediction(self, prediction: Prediction) -> None:
        """What a module and its base make of texts."""
        with self.lease.write() as (_, job):
            job.prediction = prediction.model_dump(mode="json")
            job.concerns_succeeded = 1

    @contextmanager
    def _store(self, archives: Sequence[Archive]) -> Iterator[None]:
        """The files are in the store, and kept from the sweep until the rows of the block name them."""
        with self.lease.database.shielded(key_of(archive) for archive in archives):
            for archive in archives:
                reach_store(partial(self._put, archive), self.lease.checkpoint)
            yield

    def _put(self, archive: Archive) -> None:
        self.objects.put_file(key_of(archive), archive.path, MEDIA_TYPE, replace=self.lease.repairing)

    @patient
    def _find_modules(self) -> list[tuple[ModuleRow, list[ArtifactRow]]]:
        with self.lease.write() as (unit, _):
            modules = unit.modules.of_job(self.lease.job_id)
            artifacts = unit.artifacts.of_modules(module.id for module in modules)
        return [(module, [a for a in artifacts if a.module_id == module.id]) for module in modules]

    def _is_sound(self, artifact: ArtifactRow) -> bool:
        look = partial(is_sound, self.objects, artifact, thorough=self.lease.repairing)
        return reach_store(look, self.lease.checkpoint)

    @patient
    def _forget(self, artifact_ids: Sequence[str]) -> None:
        with self.lease.write() as (unit, _):
            for artifact_id in artifact_ids:
                unit.artifacts.delete(artifact_id)
