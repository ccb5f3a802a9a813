"""Modules made again: found with the mask that each keeps, and laid over the base it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from app.db.tables import ArtifactRow, ModuleRow
from app.domain.errors import NotFound, SourceUnavailable
from microlith.contract import JobSpec
from microlith.errors import MicrolithClientError
from microlith.masks import Base, MaskFile, apply_mask, read_mask
from worker.journal import Journal
from worker.patience import patient
from worker.publishing import MASK


@dataclass(frozen=True)
class Stored:
    """A module as it is stored: its row, the spec of its job, and its mask."""

    module: ModuleRow
    spec: JobSpec
    mask: ArtifactRow

    def fetched(self, journal: Journal, folder: Path) -> MaskFile:
        """The mask, brought into `folder` and read. Raises StorageUnavailable, and SourceUnavailable if damaged."""
        file = folder / f"{self.module.id}.zip"
        journal.fetch(self.mask, file)
        try:
            return read_mask(file)
        except MicrolithClientError as error:
            raise SourceUnavailable(
                f"The stored mask of the module {self.module.id} is damaged: {error}",
                hint=f"POST /v1/jobs/{self.module.job_id}/repair makes it anew; then ask again.",
            ) from error


@patient
def stored(journal: Journal, module_ids: Sequence[str]) -> list[Stored]:
    """The caller's modules, in this order. Raises NotFound for one that is gone."""
    found = []
    with journal.lease.write() as (unit, _):
        for module_id in module_ids:
            module = unit.modules.find(module_id, journal.lease.owner)
            job = unit.jobs.find(module.job_id, journal.lease.owner) if module else None
            masks = [kept for kept in unit.artifacts.of_modules([module_id]) if kept.layout == MASK]
            if module is None or job is None or not masks:
                raise NotFound(f"The module {module_id} is gone.", hint="Its job was deleted; run it again.")
            found.append(Stored(module, JobSpec.model_validate(job.spec), masks[0]))
    return found


def applied(base: Base | nn.Module, mask: MaskFile) -> nn.Module:
    """The module that the mask makes of its base. Raises SourceUnavailable for a base that is not what it was."""
    try:
        module: nn.Module = apply_mask(base, mask)
    except MicrolithClientError as error:
        raise SourceUnavailable(
            f"The module cannot be made of its base any more: {error}", hint="Run its job again, then ask again."
        ) from error
    return module
