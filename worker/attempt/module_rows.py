"""The rows that make modules visible: a module, its artifacts (one for each layout), and the event that tells of it.

The files are in the store by then, under the names of their content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.db.unit import Unit
from app.domain.errors import NotFound
from app.domain.ids import new_id
from app.sources.reference_files import sha256, stamp
from app.storage import ObjectStore, content_key
from microlith.contract import Concern, Latency
from worker.packaging.archive import MEDIA_TYPE, Archive

SAMPLES = "samples"
"""The layout of what is no module: the generated samples that a job's modules were made from."""


def key_of(archive: Archive) -> str:
    """Where an archive is stored."""
    return content_key(archive.sha256, ".zip")


def is_sound(objects: ObjectStore, artifact: ArtifactRow, *, thorough: bool) -> bool:
    """Whether the stored file has the artifact's size and, if looked at thoroughly, its digest."""
    if objects.head(artifact.key) != artifact.size_bytes:
        return False
    return not thorough or objects.sha256(artifact.key) == artifact.sha256


def write_module(
    unit: Unit,
    job: JobRow,
    concern: Concern,
    ratio: float,
    facts: dict[str, object],
    archives: Sequence[Archive],
    asked: Collection[str],
) -> None:
    """Write the module's row and those of its artifacts; ones that are there already are renewed under their ids.

    Layouts that were not asked for are kept for others to be made from.
    """
    now = unit.jobs.now()
    module = unit.modules.made(job.id, concern.id, ratio)
    is_news = module is None or job.repairing
    if module is None:
        module = ModuleRow(
            id=new_id("mod"), job_id=job.id, concern_id=concern.id, ratio=ratio, facts=facts, created_at=now
        )
        unit.modules.add(module)
    module.facts = facts
    artifacts = unit.artifacts.of_modules([module.id])
    for archive in archives:
        write_artifact(unit, artifacts, archive, asked=archive.layout in asked, module_id=module.id)
    if is_news:
        data = {"module_id": module.id, "concern": concern.model_dump(), "ratio": ratio}
        unit.events.append(job, "module.ready", data, now)


def write_layout(unit: Unit, job: JobRow, module_id: str, archive: Archive, latencies: Sequence[Latency]) -> None:
    """Write one more artifact of a module, and what it measured. Raises NotFound when the module is gone.

    What is there by now and holds more files (an order with more options was quicker) stays.
    """
    module = unit.modules.lock(module_id)
    if module is None:
        raise NotFound(f"The module {module_id} was deleted meanwhile.", hint="Run its job again.")
    artifacts = unit.artifacts.of_modules([module.id])
    if _has_all(artifacts, archive):
        return
    artifact = write_artifact(unit, artifacts, archive, module_id=module.id)
    module.facts = _merge_latencies(module.facts, archive, latencies)
    data = {"module_id": module.id, "artifact_id": artifact.id, "layout": archive.layout}
    unit.events.append(job, "artifact.ready", data, unit.jobs.now())


def write_class_set_layout(
    unit: Unit, job: JobRow, origin: str, archive: Archive, latencies: Sequence[Latency]
) -> None:
    """The same of the class set that the job `origin` has made."""
    made = unit.jobs.lock(origin, job.owner)
    if made is None or made.combination is None:
        raise NotFound(f"The job {origin} was deleted meanwhile.", hint="Combine its modules again.")
    artifacts = unit.artifacts.of_job(origin)
    if _has_all(artifacts, archive):
        return
    artifact = write_artifact(unit, artifacts, archive, job_id=origin)
    made.combination = _merge_latencies(made.combination, archive, latencies)
    data = {"job_id": origin, "artifact_id": artifact.id, "layout": archive.layout}
    unit.events.append(job, "artifact.ready", data, unit.jobs.now())


def write_artifact(
    unit: Unit,
    artifacts: Iterable[ArtifactRow],
    archive: Archive,
    *,
    asked: bool = True,
    module_id: str | None = None,
    job_id: str | None = None,
) -> ArtifactRow:
    """The artifact of a module or a job in the archive's layout: the one that is there, renewed, or a new one."""
    artifact = next((known for known in artifacts if known.layout == archive.layout), None)
    if artifact is None:
        now = unit.jobs.now()
        artifact = ArtifactRow(id=new_id("art"), module_id=module_id, job_id=job_id, asked=asked, created_at=now)
    artifact.asked = artifact.asked or asked
    _describe(artifact, archive)
    unit.artifacts.add(artifact)
    return artifact


def keep_samples(unit: Unit, job: JobRow, key: str, file: Path, media_type: str) -> None:
    """Write the row that keeps a generated set of samples for as long as the job is there; it is shown to nobody."""
    artifacts = {artifact.layout: artifact for artifact in unit.artifacts.of_job(job.id)}
    now = unit.jobs.now()
    kept = artifacts.get(SAMPLES) or ArtifactRow(id=new_id("art"), job_id=job.id, asked=False, created_at=now)
    kept.layout, kept.media_type, kept.filename, kept.files = SAMPLES, media_type, file.name, []
    kept.key, kept.size_bytes, kept.sha256 = key, file.stat().st_size, sha256(stamp(file))
    unit.artifacts.add(kept)


def _has_all(artifacts: Iterable[ArtifactRow], archive: Archive) -> bool:
    """Whether there is more than the archive in its layout."""
    paths = {file.path for file in archive.files}
    return any(known.layout == archive.layout and {file["path"] for file in known.files} > paths for known in artifacts)


def _merge_latencies(facts: dict[str, Any], archive: Archive, latencies: Sequence[Latency]) -> dict[str, Any]:
    """What is told of something, with the times of one more layout."""
    others = [known for known in facts.get("latencies", []) if known["layout"] != archive.layout]
    return facts | {"latencies": others + [latency.model_dump(mode="json") for latency in latencies]}


def _describe(artifact: ArtifactRow, archive: Archive) -> None:
    artifact.layout = archive.layout
    artifact.media_type = MEDIA_TYPE
    artifact.size_bytes = archive.size_bytes
    artifact.sha256 = archive.sha256
    artifact.key = key_of(archive)
    artifact.filename = archive.path.name
    artifact.files = [file.model_dump() for file in archive.files]
