"""The story of one more layout: a module is made again of its base and its mask, packed, opened again and published."""

from __future__ import annotations

from dataclasses import replace

from app.settings import Settings
from microlith.contract import JobSpec, LayoutOrder
from microlith.masks import Base
from worker.attempt.journal import Journal
from worker.attempt.workspace import workroom
from worker.compute import device
from worker.compute.batches import device_of
from worker.evaluation.latency import Stopwatch
from worker.evaluation.sparsity import base_size
from worker.families.anatomy import anatomy
from worker.kinds.combine import export_class_set
from worker.kinds.hand_out import name_of, pack_trimmed, packer_of, size_of, verify, verify_trimmed
from worker.kinds.measure import probe_of, validation_of
from worker.kinds.stored_module import applied, stored
from worker.kinds.trim_vocabulary import Trimming
from worker.packaging.layouts import Handout, Packer
from worker.packaging.mask_layout import mask_of, tokens_of
from worker.packaging.verify import Opening
from worker.sources.open_sources import open_for


def export(spec: JobSpec, journal: Journal, settings: Settings) -> None:
    """Make the layout that the job orders. Raises MicrolithError for what a caller can mend."""
    order = LayoutOrder.model_validate(journal.lease.order)
    if order.module.startswith("job_"):
        export_class_set(spec, order, journal, settings)
        return
    with workroom(settings) as (folder, verifier), journal.shelf(spec) as shelf:
        with journal.phase("resolving"):
            sources = open_for(settings, spec, shelf, journal.lease.checkpoint)
            (kept,) = stored(journal, [order.module])
            kept.check_base(sources.model.facts)
            mask = kept.fetched(journal, folder)
            base, parts = Base.of(sources.model.model), anatomy(sources.model.model)
            examples = validation_of(spec, sources)
            trimming = Trimming.of(spec, sources, folder, tokens_of(mask))

        with journal.phase("exporting"):
            module = applied(base, mask)
            facts = kept.facts(mask, sources.model.licence, sources.data.licence)
            on = device.title(device_of(sources.model.model))
            stopwatch = Stopwatch(examples, on) if spec.evaluation.latency else None
            packer = Packer(sources.model, base, examples, folder, stopwatch, order.onnx.int8)
            handout = Handout(module, mask_of(mask), parts, facts)
            if trimming is None:
                package = packer.pack(handout, order.layout, name_of(facts, order.layout))
            else:
                handout.facts = replace(facts, size=size_of(module, base_size(sources.model.model), trimming))
                (package,) = pack_trimmed(packer_of(trimming, packer), trimming, handout, [order.layout])

        with journal.phase("verifying"):
            if trimming is None:
                verify(verifier, [package], module, probe_of(examples), Opening(base=sources.model.folder))
            else:
                verify_trimmed(verifier, [package], module, trimming)
        journal.attach(order.module, package.archive, package.latencies)
