"""The story of a decomposition: from two references to one verified module per concern and ratio.

The sources are opened and samples drawn; one pass over them serves every concern; what it tells becomes masks. If the
spec says so, what the masks leave learns to answer as the base does. The base is measured once, unless an earlier job
did so; where there is much to measure on, a first idea of every module is told. Then, module by module, the mask is
mended, laid over the one model in memory, measured, packed in every layout, opened again in a clean process and
published; by this worker alone, or by all that the spec lets share the concerns. What an earlier attempt has published
is not made anew.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from app.settings import Settings
from microlith.contract import JobSpec
from worker.attempt.attempt import Attempt
from worker.attempt.workspace import workroom
from worker.evaluation.overlap import overlaps
from worker.kinds.distil_students import School
from worker.kinds.draw_samples import draw, draw_to_order, draw_to_repair
from worker.kinds.make_module import Maker
from worker.kinds.measure import Bench
from worker.kinds.pack_modules import Exporter
from worker.kinds.remembered_base import BaseMemory
from worker.kinds.remembered_baselines import find_baselines
from worker.kinds.share_concerns import share_out
from worker.kinds.study_store import StudyStore
from worker.kinds.trim_vocabulary import JobVocabulary
from worker.pruning.evidence import EvidencePass
from worker.pruning.prune import prune
from worker.pruning.repair import Repair
from worker.pruning.surgery import realised
from worker.sources.open_sources import open_for


def decompose(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    """Make every module the spec asks for. Raises MicrolithError for what a caller can mend."""
    progress, publisher = attempt.progress, attempt.publisher
    with workroom(settings) as (folder, verifier), ExitStack() as held:
        with progress.phase("resolving"):
            shelf = held.enter_context(attempt.hold_sources(spec))
            sources = open_for(settings, spec, shelf, attempt.check, partial(publisher.describe_model, spec.model))
            publisher.publish_resolved(sources.resolved, len(sources.concerns))
            model, parts = sources.model.model, sources.model.anatomy
            concerns = {concern.id: concern for concern in sources.concerns}
            published = publisher.find_published()

        with progress.phase("sampling"):
            drawn = draw(spec, sources, attempt, folder)
            bench = Bench.of(spec, sources, parts)
            left = len(concerns) * len(spec.ratios) - len(published)
            to_order = partial(draw_to_order, spec, sources)
            calibration = EvidencePass(model, spec, sources.layers, drawn.pool, drawn.samples, parts, pooled=to_order)
            repair = Repair(spec, model, parts, sources.layers, partial(draw_to_repair, spec, sources))
            school = School(spec, sources, parts, bench.validation, StudyStore(attempt, folder), attempt.check)
            progress.expect(calibration.rows + school.rows + bench.rows + left * (repair.rows + bench.rows))

        with progress.phase("scoring"):
            evidence = calibration.run(progress.follow())

        with progress.phase("pruning"):
            masks = list(prune(model, parts, evidence, spec, sources.layers, list(concerns)))
            publisher.publish_overlap(overlaps(masks))
            repair.learn(evidence.statistics)

        turns = [(concerns[c], ratio, mask) for c, ratio, mask in masks if (c, ratio) not in published]
        if spec.recovery == "distil" and turns:
            with progress.phase("distilling"):
                learned = school.teach({ratio: mask for _, ratio, mask in turns}, progress.follow())
                turns = [(concern, ratio, learned[ratio]) for concern, ratio, _ in turns]

        with progress.phase("evaluating"):
            store = attempt.objects, folder, attempt.check
            base = bench.base(model, BaseMemory.of(spec, sources, *store), progress.follow())
            publisher.publish_base(base, baselines := find_baselines(spec, sources, *store))
            if (estimator := bench.estimator) and repair.at_once:
                for concern, ratio, mask in turns:
                    with realised(model, repair.mend(mask, concern.id), parts) as module:
                        estimate = estimator.estimate(module, concern.id, attempt.check)
                    publisher.publish_estimate(concern, ratio, estimate)

        progress.lap()  # what follows is each module's own time
        vocabulary = JobVocabulary.of(spec, sources, bench.validation, folder)
        exporter = Exporter(spec, sources, base, baselines, parts, drawn, vocabulary, folder)
        maker = Maker(model, parts, bench, repair, exporter, verifier, attempt)
        for concern, ratio, mask in share_out(turns, drawn, repair, bench.rows + repair.rows, attempt, folder):
            maker.make(concern, ratio, mask)
        school.close()
