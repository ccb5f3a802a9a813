"""The story of one more layout: a module is made again of its base and its mask, packed, opened again and published."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from app.db.tables import ArtifactRow
from app.domain.errors import NotFound, SourceUnavailable
from app.settings import Settings
from microlith.contract import JobSpec, LayoutOrder
from microlith.errors import MicrolithClientError
from microlith.masks import Base, MaskFile, apply_mask, read_mask
from worker import device
from worker.bench import Bench
from worker.evaluation.latency import Stopwatch
from worker.export import name_of, verify
from worker.families.anatomy import anatomy
from worker.journal import Journal
from worker.packaging.decomposition import facts_of
from worker.packaging.layouts import Handout, Packer
from worker.packaging.masking import mask_of
from worker.packaging.verify import Verifier
from worker.patience import patient
from worker.scratch import scratch
from worker.sources.opening import open_sources


def export(spec: JobSpec, journal: Journal, settings: Settings) -> None:
    """Make the layout that the job orders. Raises MicrolithError for what a caller can mend."""
    order = LayoutOrder.model_validate(journal.lease.order)
    with scratch() as folder, Verifier(folder) as verifier, journal.shelf(spec) as shelf:
        with journal.phase("resolving"):
            place = device.choose(settings.device)
            sources = open_sources(spec, allow_paths=settings.allow_paths, shelf=shelf, device=place)
            mask = stored_mask(journal, order.module, folder)
            base, bench = Base.of(sources.model.model), Bench.of(spec, sources, anatomy(sources.model.model))

        with journal.phase("exporting"):
            module = applied(base, mask)
            facts = facts_of(mask.decomposition, sources.model.licence, sources.data.licence)
            stopwatch = Stopwatch(bench.validation.examples, device.title(place)) if spec.evaluation.latency else None
            packer = Packer(sources.model, base, bench.validation.examples, folder, stopwatch, order.onnx.int8)
            handout = Handout(module, mask_of(mask), anatomy(sources.model.model), facts)
            package = packer.pack(handout, order.layout, name_of(facts, order.layout))

        with journal.phase("verifying"):
            verify(verifier, [package], module, bench.probe, sources.model.folder)
        journal.attach(order.module, package.archive, package.latencies)


def stored_mask(journal: Journal, module_id: str, folder: Path) -> MaskFile:
    """The mask that a module is kept as. Raises NotFound, StorageUnavailable, or InvalidMask for a damaged one."""
    file = folder / "mask.zip"
    journal.fetch(_artifact(journal, module_id), file)
    return read_mask(file)


@patient
def _artifact(journal: Journal, module_id: str) -> ArtifactRow:
    with journal.lease.write() as (unit, _):
        masks = [artifact for artifact in unit.artifacts.of_modules([module_id]) if artifact.layout == "mask"]
    if not masks:
        raise NotFound(f"The module {module_id} is gone.", hint="Its job was deleted; run it again.")
    return masks[0]


def applied(base: Base | nn.Module, mask: MaskFile) -> nn.Module:
    """The module that the mask makes of its base. Raises SourceUnavailable for a base that is not what it was."""
    try:
        module: nn.Module = apply_mask(base, mask)
    except MicrolithClientError as error:
        raise SourceUnavailable(
            f"The module cannot be made of its base any more: {error}", hint="Run its job again, then ask again."
        ) from error
    return module
