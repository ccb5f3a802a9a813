"""The story of a decomposition: from two references to one verified module per concern and ratio.

The sources are opened and samples drawn; one calibration pass serves every concern; scores become masks. The base is
measured once. Then, module by module, the mask is laid over the one model in memory, measured, packed, opened again in
a clean process and published. What an earlier attempt has published is not made anew.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from app.settings import Settings
from microlith.contract import JobSpec
from worker import device
from worker.bench import Bench
from worker.evaluation.sparsity import base_size
from worker.export import Exporter, published
from worker.journal import Journal
from worker.packaging.verify import Verifier
from worker.pruning.prune import prune, scored_layers
from worker.pruning.statistics import calibrate, calibration_rows
from worker.pruning.surgery import realised
from worker.sampling.concern import draw_samples, rows_of
from worker.sources.opening import open_sources


def decompose(spec: JobSpec, journal: Journal, settings: Settings) -> None:
    """Make every module the spec asks for. Raises MicrolithError for what a caller can mend."""
    with tempfile.TemporaryDirectory(prefix="microlith-") as scratch, Verifier() as verifier:
        with journal.phase("resolving"):
            sources = open_sources(spec, allow_paths=settings.allow_paths, device=device.choose(settings.device))
            journal.resolve(sources.resolved, len(sources.concerns))
            model, family = sources.model.model, sources.model.family
            wanted = [(concern.id, ratio) for concern in sources.concerns for ratio in spec.ratios]
            missing = set(wanted) - journal.published()
            if not missing:
                return

        with journal.phase("sampling"):
            labels, classes = sources.labels(spec.sampling.split), len(sources.model.labels)
            concerns = {concern.id: concern for concern in sources.concerns}
            samples = {concern: draw_samples(labels, concern, classes, spec.sampling) for concern in concerns}
            pool = sources.encode(spec.sampling.split, rows_of(samples))
            bench = Bench.of(spec, sources)
            journal.expect(calibration_rows(samples, spec.calibration) + (1 + len(missing)) * bench.rows)

        with journal.phase("scoring"):
            scored = scored_layers(model, family, spec, sources.layers)
            statistics = calibrate(model, scored, pool, samples, spec.calibration, checkpoint=journal.follow())

        with journal.phase("pruning"):
            unfinished = sorted({concern for concern, _ in missing})
            ranked = prune(model, family, statistics, spec, sources.layers, unfinished)
            masks = [(concerns[concern], ratio, mask) for concern, ratio, mask in ranked if (concern, ratio) in missing]

        with journal.phase("evaluating"):
            base = bench.measure_base(model, journal.follow())
            journal.publish_base(base)

        journal.lap()  # what follows is each module's own time
        exporter = Exporter(spec, sources, base, base_size(model), samples, bench.probe, Path(scratch))
        for concern, ratio, mask in masks:
            base_states = bench.base_states(model, concern)
            with realised(model, mask, family) as module:
                with journal.phase("evaluating"):
                    measures = bench.measure(module, concern, base_states, journal.follow())
                with journal.phase("exporting"):
                    facts = exporter.describe(module, mask, concern, ratio, measures)
                    package = exporter.pack(module, facts)
                with journal.phase("verifying"):
                    exporter.verify(verifier, package, module)
            journal.publish(concern, ratio, published(facts, journal.lap()), package)
