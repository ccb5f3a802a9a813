"""How a module is made, by whichever worker: mended, laid over the model, measured, packed, opened again, published."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from microlith.contract import Concern
from worker.attempt.attempt import Attempt
from worker.evaluation.delivered import score_answers, score_binary_answers
from worker.evaluation.meaning import meaning_of
from worker.evaluation.runner import predict
from worker.families.anatomy import Anatomy
from worker.kinds.measure import Bench, Measures
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
                meaning = meaning_of(measures.report)
                cost = exporter.vocabulary.measure_cost(module, concern, meaning, self.attempt.check)
                headed = exporter.with_head(module, concern, measures)
                measures = self._as_delivered(headed, concern, measures)
            with progress.phase("exporting"):
                finished = exporter.vocabulary.settle(headed)
                facts = exporter.describe(finished, mask, concern, ratio, measures, cost)
                packages = exporter.pack(finished, mask, facts)
            with progress.phase("verifying"):
                exporter.verify(self.verifier, packages, finished)
        archives = [package.archive for package in packages]
        self.attempt.publisher.publish_module(concern, ratio, compose_facts(facts, packages, progress.lap()), archives)

    def _as_delivered(self, module: nn.Module, concern: Concern, measures: Measures) -> Measures:
        """With what the files score; measured anew where they have other weights or tokens than the module has here."""
        reading = self.exporter.vocabulary
        small = reading.hand_out(module)
        if small is module:
            return measures
        test = reading.cost.test if reading.cost else self.bench.test
        logits = predict(small, test, checkpoint=self.attempt.check)
        if measures.binary is not None:
            return replace(measures, delivered=score_binary_answers(logits, self.bench.members_of(test, concern)))
        meaning = meaning_of(measures.report)
        scores = score_answers(logits, test.labels, self.bench.labels, concern.id, meaning)
        return replace(measures, delivered=scores, macro_change=self.bench.macro_change(logits, meaning))
