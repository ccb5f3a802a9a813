"""The bench every model of a job is measured on: the same examples for the base and for each module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from microlith.contract import BaseResult, BinaryScore, Concern, JobSpec, Report, Similarity
from worker.evaluation.binary import best_threshold, margins
from worker.evaluation.binary import measure as measure_binary
from worker.evaluation.report import exp_loss, report, score
from worker.evaluation.runner import Logits, evenly, predict
from worker.evaluation.similarity import HiddenStates, StatesWanted, compare, hidden_states
from worker.evaluation.sparsity import base_size
from worker.inputs import Checkpoint, Examples
from worker.sampling.concern import ConcernSamples, draw_available, rows_of
from worker.sources.opening import Sources

PROBE_ROWS = 8
SIMILARITY_SAMPLES = 256
"""Samples of the concern, and of the rest, that similarity is taken over: CCA of fewer says little."""


@dataclass(frozen=True)
class Measures:
    """What the bench says of a module; `binary` where its head is concern against rest."""

    report: Report
    similarity: Similarity | None
    binary: BinaryScore | None


@dataclass(frozen=True)
class Answers:
    """A model's logits on both splits."""

    test: Logits
    validation: Logits


@dataclass
class Bench:
    """Examples to measure on. The base's hidden states are kept for the concern at hand, not for all of them."""

    spec: JobSpec
    labels: list[str]
    test: Examples
    validation: Examples
    samples: Mapping[int, ConcernSamples]
    sampled: Examples
    _kept_states: dict[int, HiddenStates] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources) -> Bench:
        """The splits the spec names, thinned to its limit, and each concern's samples of the validation split."""
        wanted = spec.evaluation
        samples = _similarity_samples(spec, sources) if wanted.similarity else {}
        return cls(
            spec=spec,
            labels=sources.model.labels,
            test=_thinned(sources, wanted.split, wanted.limit),
            validation=_thinned(sources, wanted.validation_split, wanted.limit),
            samples=samples,
            sampled=sources.encode(wanted.validation_split, rows_of(samples)),
        )

    @property
    def rows(self) -> int:
        """Rows one measurement passes through a model."""
        return len(self.test) + len(self.validation)

    @property
    def probe(self) -> Examples:
        """A few examples to tell by whether two models are the same."""
        return self.validation.take(range(min(PROBE_ROWS, len(self.validation))))

    def measure_base(self, model: nn.Module, checkpoint: Checkpoint) -> BaseResult:
        """The unpruned model, measured once per job."""
        answers = self._ask(model, checkpoint)
        return BaseResult(parameters=base_size(model).parameters, report=self._report(answers))

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
        """A module on the same examples, and how close it stayed to the base."""
        answers = self._ask(module, checkpoint)
        return Measures(
            report=self._report(answers),
            similarity=compare(base_states, self._states(module, concern)) if base_states else None,
            binary=self._binary(answers, concern.id) if self.spec.head == "binary" else None,
        )

    def _ask(self, model: nn.Module, checkpoint: Checkpoint) -> Answers:
        test = predict(model, self.test, checkpoint=checkpoint)
        done = len(self.test)
        return Answers(test, predict(model, self.validation, checkpoint=lambda rows: checkpoint(done + rows)))

    def _report(self, answers: Answers) -> Report:
        measured = score(answers.test, self.test.labels, self.labels)
        return report(measured, exp_loss(answers.validation, self.validation.labels))

    def _binary(self, answers: Answers, concern: int) -> BinaryScore:
        """The threshold is chosen on the validation split, the score taken on the evaluation split."""
        threshold = best_threshold(margins(answers.validation, concern), self.validation.labels == concern)
        return measure_binary(margins(answers.test, concern), self.test.labels == concern, threshold)

    def _states(self, model: nn.Module, concern: Concern) -> HiddenStates:
        wanted = StatesWanted(self.spec.calibration.pads, self.spec.evaluation.similarity_layers)
        return hidden_states(model, self.sampled, self.samples[concern.id], wanted)


def _thinned(sources: Sources, role: str, limit: int | None) -> Examples:
    rows = evenly(len(sources.labels(role)), limit)
    return sources.encode(role, rows.tolist()).take(rows)


def _similarity_samples(spec: JobSpec, sources: Sources) -> dict[int, ConcernSamples]:
    """The rest evenly over the other classes; many more than calibrate, except where the seed system is reproduced."""
    exact = spec.calibration.pads == "include"
    count = spec.sampling.per_concern if exact else SIMILARITY_SAMPLES
    sampling = spec.sampling.model_copy(update={"per_concern": count, "negatives": "even"})
    labels, classes = sources.labels(spec.evaluation.validation_split), len(sources.model.labels)
    return {concern.id: draw_available(labels, concern.id, classes, sampling) for concern in sources.concerns}
