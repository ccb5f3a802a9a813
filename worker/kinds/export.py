"""The story of one more layout: a module is made again of its base and its mask, packed, opened again and published."""

from __future__ import annotations

from app.settings import Settings
from microlith.contract import JobSpec, LayoutOrder
from worker.attempt.attempt import Attempt
from worker.attempt.workspace import workroom
from worker.kinds.combine import export_class_set
from worker.kinds.measure import validation_of
from worker.kinds.pack_modules import make_packer, pack, verify
from worker.kinds.stored_module import apply_to_base, find_modules
from worker.kinds.trim_vocabulary import JobVocabulary
from worker.packaging.layouts import Handout
from worker.packaging.mask_layout import mask_of, tokens_of
from worker.sources.open_sources import open_for


def export(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    """Make the layout that the job orders. Raises MicrolithError for what a caller can mend."""
    order = LayoutOrder.model_validate(attempt.lease.order)
    if order.module.startswith("job_"):
        export_class_set(spec, order, attempt, settings)
        return
    with workroom(settings) as (folder, verifier), attempt.hold_sources(spec) as shelf:
        with attempt.progress.phase("resolving"):
            sources = open_for(settings, spec, shelf, attempt.check)
            (stored,) = find_modules(attempt, [order.module])
            stored.check_base(sources.model.facts)
            mask = stored.fetch_mask(attempt, folder)
            validation = validation_of(spec, sources)
            vocabulary = JobVocabulary.of(spec, sources, validation, folder, tokens_of(mask))

        with attempt.progress.phase("exporting"):
            packer = make_packer(spec, vocabulary, folder, int8=order.onnx.int8)
            module, parts = apply_to_base(packer.base, mask), sources.model.anatomy
            facts = stored.facts(mask, sources.model.licence, sources.data.licence)
            (package,) = pack(packer, vocabulary, Handout(module, mask_of(mask), parts, facts), [order.layout])

        with attempt.progress.phase("verifying"):
            verify(verifier, [package], vocabulary.hand_out(module), vocabulary.probe, vocabulary.opening)
        attempt.publisher.attach_layout(order.module, package.archive, package.latencies)
