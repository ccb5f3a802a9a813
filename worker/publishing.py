"""How a module becomes visible: its files are stored under the names of their content, then its rows are written."""

from __future__ import annotations

from collections.abc import Sequence

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.db.unit import Unit
from app.domain.ids import new_id
from app.storage import ObjectStore, content_key
from microlith.contract import Concern
from worker.packaging.archive import MEDIA_TYPE, Archive


def key_of(archive: Archive) -> str:
    """Where an archive is stored."""
    return content_key(archive.sha256, ".zip")


def is_sound(objects: ObjectStore, artifact: ArtifactRow, *, thorough: bool) -> bool:
    """Whether the stored file has the artifact's size and, if looked at thoroughly, its digest."""
    if objects.head(artifact.key) != artifact.size_bytes:
        return False
    return not thorough or objects.sha256(artifact.key) == artifact.sha256


def record(
    unit: Unit, job: JobRow, concern: Concern, ratio: float, facts: dict[str, object], archives: Sequence[Archive]
) -> None:
    """Write the module's row and those of its artifacts; ones that are there already are renewed under their ids."""
    now = unit.jobs.now()
    module = unit.modules.made(job.id, concern.id, ratio)
    news = module is None or job.repairing
    if module is None:
        module = ModuleRow(
            id=new_id("mod"), job_id=job.id, concern_id=concern.id, ratio=ratio, facts=facts, created_at=now
        )
        unit.modules.add(module)
    module.facts = facts
    known = {artifact.layout: artifact for artifact in unit.artifacts.of_modules([module.id])}
    for archive in archives:
        artifact = known.get(archive.layout) or ArtifactRow(id=new_id("art"), module_id=module.id, created_at=now)
        _describe(artifact, archive)
        unit.artifacts.add(artifact)
    if news:
        data = {"module_id": module.id, "concern": concern.model_dump(), "ratio": ratio}
        unit.events.append(job, "module.ready", data, now)


def _describe(artifact: ArtifactRow, archive: Archive) -> None:
    artifact.layout = archive.layout
    artifact.media_type = MEDIA_TYPE
    artifact.size_bytes = archive.size_bytes
    artifact.sha256 = archive.sha256
    artifact.key = key_of(archive)
    artifact.filename = archive.path.name
    artifact.files = [file.model_dump() for file in archive.files]
