"""How a module is made, by whichever worker: mended, laid over the model, measured, packed, opened again, published."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from microlith.contract import Concern
from worker.attempt.attempt import Attempt
from worker.families.anatomy import Anatomy
from worker.kinds.measure import Bench
from worker.kinds.pack_modules import Exporter, compose_facts
from worker.packaging.verify import Verifier
from worker.pruning.masks import Mask
from worker.pruning.repair import Repair
from worker.pruning.surgery import realised


@dataclass(frozen=True)
class Maker:
    """All that the modules of a job are made with."""

    model: nn.Module
    anatomy: Anatomy
    bench: Bench
    repair: Repair
    exporter: Exporter
    verifier: Verifier
    attempt: Attempt

    def make(self, concern: Concern, ratio: float, mask: Mask) -> None:
        """One module, from its mask to where everybody can see it."""
        exporter, progress = self.exporter, self.attempt.progress
        with progress.phase("pruning"):
            mask = self.repair.mend(mask, concern.id, progress.follow())
        base_states = self.bench.base_states(self.model, concern)
        with realised(self.model, mask, self.anatomy) as module:
            with progress.phase("evaluating"):
                measures = self.bench.measure(module, concern, base_states, progress.follow())
                cost = exporter.vocabulary.measure_cost(module, concern, self.attempt.check)
            with progress.phase("exporting"):
                finished = exporter.finish(module, concern, measures)
                facts = exporter.describe(finished, mask, concern, ratio, measures, cost)
                packages = exporter.pack(finished, mask, facts)
            with progress.phase("verifying"):
                exporter.verify(self.verifier, packages, finished)
        archives = [package.archive for package in packages]
        self.attempt.publisher.publish_module(concern, ratio, compose_facts(facts, packages, progress.lap()), archives)
