"""The bench every model of a job is measured on: the same examples for the base and for each module."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from microlith.contract import BaseResult, Concern, JobSpec, Report, Similarity
from worker.evaluation.report import exp_loss, report, score
from worker.evaluation.runner import evenly, predict
from worker.evaluation.similarity import HiddenStates, compare, hidden_states
from worker.evaluation.sparsity import base_size
from worker.inputs import Checkpoint, Examples
from worker.sampling.concern import draw_available
from worker.sources.opening import Sources


@dataclass(frozen=True)
class Measures:
    """What the bench says of a module."""

    report: Report
    similarity: Similarity | None


@dataclass
class Bench:
    """Examples to measure on. The base's hidden states are kept for the concern at hand, not for all of them."""

    spec: JobSpec
    labels: list[str]
    test: Examples
    validation: Examples
    validation_all: Examples
    _kept_states: dict[int, HiddenStates] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources) -> Bench:
        """The splits the spec names, thinned to its limit."""
        wanted = spec.evaluation
        whole = sources.splits[wanted.validation_split]
        return cls(
            spec=spec,
            labels=sources.model.labels,
            test=_thinned(sources.splits[wanted.split], wanted.limit),
            validation=_thinned(whole, wanted.limit),
            validation_all=whole,
        )

    @property
    def rows(self) -> int:
        """Rows one measurement passes through a model."""
        return len(self.test) + len(self.validation)

    def measure_base(self, model: nn.Module, checkpoint: Checkpoint) -> BaseResult:
        """The unpruned model, measured once per job."""
        return BaseResult(parameters=base_size(model).parameters, report=self._report(model, checkpoint))

    def base_states(self, model: nn.Module, concern: Concern) -> HiddenStates | None:
        """The unpruned model's states on the concern's samples; None when similarity is not asked for."""
        if not self.spec.evaluation.similarity:
            return None
        if concern.id not in self._kept_states:
            self._kept_states = {concern.id: self._states(model, concern)}
        return self._kept_states[concern.id]

    def measure(
        self, module: nn.Module, concern: Concern, base_states: HiddenStates | None, checkpoint: Checkpoint
    ) -> Measures:
        """A module on the same examples, and how close its states stayed to the base's."""
        similarity = compare(base_states, self._states(module, concern)) if base_states else None
        return Measures(self._report(module, checkpoint), similarity)

    def _report(self, model: nn.Module, checkpoint: Checkpoint) -> Report:
        measured = score(predict(model, self.test, checkpoint=checkpoint), self.test.labels, self.labels)
        done = len(self.test)
        validation = predict(model, self.validation, checkpoint=lambda rows: checkpoint(done + rows))
        return report(measured, exp_loss(validation, self.validation.labels))

    def _states(self, model: nn.Module, concern: Concern) -> HiddenStates:
        """On samples of the validation split, drawn as the calibration's were."""
        labels, classes = self.validation_all.labels, len(self.labels)
        samples = draw_available(labels, concern.id, classes, self.spec.sampling)
        return hidden_states(model, self.validation_all, samples, self.spec.calibration.pads)


def _thinned(examples: Examples, limit: int | None) -> Examples:
    return examples.take(evenly(len(examples), limit))
