"""Artifacts: stored files of modules and of combinations, found by their callers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from app.db.tables import ArtifactRow
from app.db.unit import Unit
from app.domain.errors import NotFound
from microlith.contract import Artifact, ArtifactFile
from microlith.contract.artifact import ArtifactUrls
from microlith.contract.options import Layout

_LAYOUTS = get_args(Layout)
"""The order that files are listed in."""


@dataclass(frozen=True)
class Artifacts:
    """Artifacts of one caller, inside one unit of work."""

    unit: Unit
    owner: str

    def get(self, artifact_id: str) -> Artifact:
        return show(self.row(artifact_id))

    def row(self, artifact_id: str) -> ArtifactRow:
        row = self.unit.artifacts.find(artifact_id, self.owner)
        if row is None:
            raise NotFound(f"There is no artifact {artifact_id}.", hint="Every module lists its artifacts.")
        return row


def show(row: ArtifactRow) -> Artifact:
    """A row as it travels."""
    url = f"/v1/artifacts/{row.id}"
    return Artifact(
        id=row.id,
        layout=row.layout,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        files=[ArtifactFile.model_validate(file) for file in row.files],
        created_at=row.created_at,
        urls=ArtifactUrls(self=url, content=f"{url}/content"),
    )


def listed(rows: Iterable[ArtifactRow]) -> list[Artifact]:
    """Rows as they travel, by layout."""
    return [show(row) for row in sorted(rows, key=lambda row: _LAYOUTS.index(row.layout))]
