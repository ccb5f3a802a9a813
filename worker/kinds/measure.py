"""The bench every model of a job is measured on: the same examples for the base and for each module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

from microlith.contract import (
    BaseResult,
    BinaryScore,
    Concern,
    DeliveredScore,
    Interval,
    JobSpec,
    Numerics,
    Report,
    Similarity,
)
from worker.compute.arrays import Logits
from worker.compute.batches import Checkpoint, Order, device_of
from worker.compute.examples import Examples
from worker.evaluation.binary import Members, best_threshold
from worker.evaluation.binary import measure as measure_binary
from worker.evaluation.delivered import score_decisions
from worker.evaluation.first_estimate import Estimator
from worker.evaluation.meaning import Meaning, meaning_of
from worker.evaluation.numerics import Questions, SplitLogits
from worker.evaluation.paired import macro_f1_change
from worker.evaluation.report import exp_loss, report, score
from worker.evaluation.shared_batches import Course
from worker.evaluation.shortcuts import Shortcuts
from worker.evaluation.similarity import BaseStates, HiddenStates, StatesWanted, compare, course_over, states_along
from worker.evaluation.sparsity import base_size, tensor_bytes
from worker.families.anatomy import Anatomy
from worker.kinds.remembered_base import BaseMemory, MeasuredBase
from worker.packaging.verify import PROBE_ROWS
from worker.sampling.concern import ConcernSamples, draw_available, rows_of
from worker.sources.open_sources import Sources

TRIED_ROWS = 4
SIMILARITY_SAMPLES = 256
"""Samples of the concern, and of the rest, that similarity is taken over: CCA of fewer says little."""


@dataclass(frozen=True)
class Measures:
    """What the bench says of a module; `binary` where its head is concern against rest.

    `macro_change` is None where the base was not measured on the bench before.
    """

    report: Report
    macro_change: Interval | None
    similarity: Similarity | None
    binary: BinaryScore | None
    numerics: Numerics | None
    delivered: DeliveredScore | None = None
    """Of what is handed out, where that answers otherwise."""


@dataclass
class Bench:
    """Examples to measure on, each way of them gone by the base first and by every module after it."""

    spec: JobSpec
    labels: list[str]
    questions: Questions
    similarity: SimilarityBench | None
    estimator: Estimator | None
    measured_base: MeasuredBase | None = None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources, anatomy: Anatomy, measured_base: MeasuredBase | None = None) -> Bench:
        """The splits the spec names, thinned to its limit, and each concern's samples of the validation split."""
        evaluation = spec.evaluation
        test, validation = sources.thinned(evaluation.split, evaluation.limit), validation_of(spec, sources)
        shortcuts = _shortcuts(sources, anatomy, test)
        return cls(
            spec=spec,
            labels=sources.model.labels,
            questions=Questions(test, validation, shortcuts, _reduced(spec, sources), sources.meaning),
            similarity=SimilarityBench.of(spec, sources, shortcuts) if evaluation.similarity else None,
            estimator=Estimator.of(test, len(sources.model.labels), shortcuts),
            measured_base=measured_base,
        )

    @property
    def rows(self) -> int:
        """Rows one measurement passes through a model."""
        return self.questions.rows

    @property
    def validation(self) -> Examples:
        """The validation split."""
        return self.questions.validation

    @property
    def probe(self) -> Examples:
        """Those of the validation split."""
        return probe_of(self.validation)

    def base(self, model: nn.Module, memory: BaseMemory, checkpoint: Checkpoint) -> BaseResult:
        """The unpruned model's measures: as an earlier job took them, or taken now and remembered."""
        known = memory.recall()
        if known is None:
            known = self.measure_base(model, checkpoint)
            memory.keep(known)
        checkpoint(self.rows)
        self.measured_base = known
        return known.result

    def measure_base(self, model: nn.Module, checkpoint: Checkpoint) -> MeasuredBase:
        """The unpruned model, measured."""
        answers = self.questions.ask(model, checkpoint)
        measured = self._report(answers)
        result = BaseResult(
            parameters=base_size(model).parameters,
            size_bytes=tensor_bytes(model),
            report=measured,
            numerics=answers.numerics,
        )
        return MeasuredBase(result, meaning_of(measured).answers(answers.test))

    def base_states(self, model: nn.Module, concern: Concern) -> HiddenStates | None:
        """The unpruned model's states on the concern's samples; None when similarity is not asked for."""
        return self.similarity.of_base(model, concern.id) if self.similarity else None

    def measure(
        self,
        module: nn.Module,
        concern: Concern,
        base_states: HiddenStates | None,
        checkpoint: Checkpoint,
    ) -> Measures:
        """A module on the same examples, and how close it stayed to the base."""
        answers = self.questions.ask(module, checkpoint)
        measured, near = self._report(answers), None
        if self.similarity and base_states:
            near = compare(base_states, self.similarity.of_module(module, concern.id), self._meanings(measured))
        measures = Measures(
            report=measured,
            macro_change=self.macro_change(answers.test, meaning_of(measured)),
            similarity=near,
            binary=None,
            numerics=answers.numerics,
        )
        return self._with_binary(measures, answers, concern) if self.spec.head == "binary" else measures

    def macro_change(self, logits: Logits, meaning: Meaning) -> Interval | None:
        """Of logits [rows, classes] of the evaluation split, against the base; None where it is not measured yet."""
        if self.measured_base is None:
            return None
        answers, base = meaning.answers(logits), self.measured_base.answers
        return macro_f1_change(answers, base, self.test.labels, len(self.labels))

    @property
    def test(self) -> Examples:
        """The evaluation split."""
        return self.questions.test

    def _report(self, answers: SplitLogits) -> Report:
        validation = answers.validation, self.validation.labels
        meaning = self.questions.meaning.calibrated(*validation)
        measured = score(answers.test, self.questions.test.labels, self.labels, meaning)
        return report(measured, exp_loss(*validation, meaning))

    def _meanings(self, measured: Report) -> tuple[Meaning, Meaning]:
        """What the logits of the base mean, and those of a module."""
        base = self.measured_base
        return meaning_of(base.result.report) if base else self.questions.meaning, meaning_of(measured)

    def members_of(self, examples: Examples, concern: Concern) -> Members:
        """The examples that are of the concern."""
        return self.questions.meaning.members(examples.labels, concern.id)

    def _with_binary(self, measures: Measures, answers: SplitLogits, concern: Concern) -> Measures:
        """The threshold is chosen on the validation split, the scores taken on the evaluation split."""
        margins = self.questions.meaning.margins
        threshold = best_threshold(margins(answers.validation, concern.id), self.members_of(self.validation, concern))
        scores, members = margins(answers.test, concern.id), self.members_of(self.test, concern)
        binary = measure_binary(scores, members, threshold)
        return replace(measures, binary=binary, delivered=score_decisions(scores >= threshold, members))


@dataclass
class SimilarityBench:
    """Each concern's samples of the validation split, and what the base makes of them."""

    wanted: StatesWanted
    samples: Mapping[int, ConcernSamples]
    examples: Examples
    shortcuts: Shortcuts
    ratios: int
    base: BaseStates
    _at_hand: tuple[int, HiddenStates, Course] | None = None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources, shortcuts: Shortcuts) -> SimilarityBench:
        """What the spec asks to compare."""
        wanted = StatesWanted(spec.calibration.pads, spec.evaluation.similarity_layers)
        samples = _similarity_samples(spec, sources)
        rows = sorted(rows_of(samples))
        examples = sources.encode(spec.evaluation.validation_split, rows)
        return cls(wanted, samples, examples, shortcuts, len(spec.ratios), BaseStates(examples, wanted, rows))

    def of_base(self, model: nn.Module, concern: int) -> HiddenStates:
        """The unpruned model's states on the concern's samples, which stay at hand for all its modules."""
        if self._at_hand is None or self._at_hand[0] != concern:
            samples = self.samples[concern]
            course = course_over(self.examples, samples, self.wanted, self.shortcuts if self.ratios > 1 else None)
            self._at_hand = concern, self.base.of(model, samples), course
        return self._at_hand[1]

    def of_module(self, module: nn.Module, concern: int) -> HiddenStates:
        """A module's states on the same samples, after the base's."""
        assert self._at_hand is not None
        assert self._at_hand[0] == concern
        return states_along(module, self._at_hand[2], self.samples[concern], self.wanted)


def validation_of(spec: JobSpec, sources: Sources) -> Examples:
    """The validation split, thinned to the spec's limit."""
    return sources.thinned(spec.evaluation.validation_split, spec.evaluation.limit)


def probe_of(examples: Examples) -> Examples:
    """A few examples to tell by whether two models are the same."""
    return examples.take(range(min(PROBE_ROWS, len(examples))))


def _shortcuts(sources: Sources, anatomy: Anatomy, examples: Examples) -> Shortcuts:
    """What modules of this job need not compute, tried on a few of the examples."""
    model, order = sources.model.model, Order.of(examples)
    few = order.batch(0, min(TRIED_ROWS, len(order.rows)), device_of(model))
    return Shortcuts.of(model.eval(), anatomy, sources.resolved.layers, few)


def _reduced(spec: JobSpec, sources: Sources) -> bool:
    """Whether bfloat16 is to be tried."""
    dtype = spec.evaluation.dtype
    return dtype == "bfloat16" or (dtype == "auto" and device_of(sources.model.model).type == "cuda")


def _similarity_samples(spec: JobSpec, sources: Sources) -> dict[int, ConcernSamples]:
    """The rest evenly over the other classes; many more than calibrate, except where the seed system is reproduced."""
    exact = spec.calibration.pads == "include"
    count = spec.sampling.per_concern if exact else SIMILARITY_SAMPLES
    sampling = spec.sampling.model_copy(update={"per_concern": count, "negatives": "even"})
    labels, classes = sources.labels(spec.evaluation.validation_split), len(sources.model.labels)
    return {concern.id: draw_available(labels, concern.id, classes, sampling) for concern in sources.concerns}
