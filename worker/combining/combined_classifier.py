"""The story of a combination: parts become one classifier, which is measured beside the original.

combined = CombinationPass(spec, parts, Data(validation, test)).run()
combined.class_set.model       an ordinary model, for the layouts of modules
deliver(combined, folder)      a recomposed classifier as a folder: `worker.combining.recomposed_folder`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.domain.combinations import check_tasks
from app.domain.errors import NotEnoughSamples
from app.domain.layouts import number_type_of
from microlith.contract import Export
from microlith.contract.combine import Combination, CombineSpec, Comparisons, ConcernCompared
from microlith.contract.options import NumberType
from worker.combining.class_set import ClassSet, class_set
from worker.combining.class_set_recovery import examples_of
from worker.combining.comparison import AnswerTable, compare, tabulate
from worker.combining.parts import LabelledRows, ModulePart, Origin, labels_of
from worker.combining.recomposition import Recomposition, recompose
from worker.combining.scores import voices
from worker.compute.batches import Checkpoint, unwatched
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, size


@dataclass(frozen=True)
class Data:
    """Examples that calibrate, and examples that measure. Those of other labels than the parts' are left out."""

    validation: LabelledRows
    test: LabelledRows

    def of(self, labels: Sequence[str], limit: int | None) -> Data:
        """The examples of these labels, at most `limit` of each split."""
        return Data(self.validation.among(labels).thinned(limit), self.test.among(labels).thinned(limit))


@dataclass(frozen=True)
class CombinedClassifier:
    """What came of it: a class set or a recomposition, and what there is to say of it."""

    combination: Combination
    class_set: ClassSet | None = None
    recomposition: Recomposition | None = None


@dataclass(frozen=True)
class CombinationPass:
    """The classifier that `spec.mode` makes of the parts, compared with `reference`: the model that most parts are of.

    `spec.modules` and `spec.dataset` are not looked at: `parts` and `data` are what they stand for. Raises InvalidInput
    and its kinds for parts that do not go together.
    """

    spec: CombineSpec
    parts: Sequence[ModulePart]
    data: Data
    reference: Origin | None = None

    @property
    def rows(self) -> int:
        """How many examples pass through a model, over all: what the checkpoint of `run` counts up to."""
        data, parts = self._usable, self.parts
        if self.spec.mode == "class_set":
            return rows_to_mend(self.spec, data.validation, labels_of(parts)) + 2 * len(data.test)
        return voices(parts) * (len(data.validation) + len(data.test)) + len(data.test)

    def run(self, checkpoint: Checkpoint = unwatched) -> CombinedClassifier:
        """The classifier; the origins are whole again. `checkpoint` hears the rows done and may raise."""
        reference = self.reference or _original(self.parts)
        task = _Task(self.spec, self.parts, self._usable, reference, checkpoint)
        return task.class_set() if self.spec.mode == "class_set" else task.recomposition()

    @cached_property
    def _usable(self) -> Data:
        return _usable(self.spec, self.parts, self.data)


def rows_to_mend(spec: CombineSpec, validation: LabelledRows, labels: Sequence[str]) -> int:
    """How many examples the recovery of a class set runs."""
    return len(examples_of(validation, labels)) if spec.recovery in ("bias", "refit") else 0


def remake(
    spec: CombineSpec,
    combination: Combination,
    parts: Sequence[ModulePart],
    data: Data,
    *,
    checkpoint: Checkpoint = unwatched,
) -> CombinedClassifier:
    """The class set that `CombinationPass` made of the same, with what was told of it; nothing is measured anew."""
    validation = _usable(spec, parts, data).validation
    made = class_set(
        parts, combination.recovery, validation, number_type=_number_type(spec, parts), checkpoint=checkpoint
    )
    return CombinedClassifier(combination, class_set=made)


@dataclass(frozen=True)
class _Task:
    """All that a combination is made from; `data` has examples of the parts' labels only."""

    spec: CombineSpec
    parts: Sequence[ModulePart]
    data: Data
    reference: Origin
    checkpoint: Checkpoint

    def class_set(self) -> CombinedClassifier:
        """One ordinary model, whose highest logit answers."""
        recovery, test = self.spec.recovery or "none", self.data.test
        kind = _number_type(self.spec, self.parts)
        made = class_set(self.parts, recovery, self.data.validation, number_type=kind, checkpoint=self.checkpoint)
        done = rows_to_mend(self.spec, self.data.validation, made.labels)
        logits = predict(made.model, made.origin.encoder(test.inputs), checkpoint=self._after(done))
        answers = tabulate(logits.argmax(axis=1), len(made.labels))
        combination = Combination(
            mode=self.spec.mode,
            labels=made.labels,
            decision="argmax",
            calibration="none",
            recovery=recovery,
            comparison=self._compared(answers, made.labels, done=done + len(test)),
            size=size(made.model, base_size(made.origin.model)),
            notes=[*made.notes, *_notes(made.labels, self.reference)],
        )
        return CombinedClassifier(combination, class_set=made)

    def recomposition(self) -> CombinedClassifier:
        """Every part scores its concern; calibrated on the validation examples, measured on the others."""
        spec, test, models = self.spec, self.data.test.inputs, voices(self.parts)
        made = recompose(self.parts, self.data.validation, spec.calibration, spec.decision, checkpoint=self.checkpoint)
        scores = made.scores(test, checkpoint=self._after(models * len(self.data.validation)))
        combination = Combination(
            mode=spec.mode,
            labels=made.labels,
            decision=made.decision,
            calibration=spec.calibration,
            scaling=made.scaling,
            cross_validated=dict(made.cross_validated),
            comparison=self._compared(
                made.answers(scores), made.labels, done=models * (len(self.data.validation) + len(test))
            ),
            notes=_notes(made.labels, self.reference),
        )
        return CombinedClassifier(combination, recomposition=made)

    def _compared(self, answers: AnswerTable, labels: list[str], *, done: int) -> Comparisons:
        """Answers [rows, labels] beside the reference's, on the same examples."""
        how, test, truth = self.spec.evaluation.bootstrap, self.data.test, self.data.test.ids(labels)
        reference = restricted_answers(self.reference, test.inputs, labels, checkpoint=self._after(done))
        outcome = compare(answers, reference, truth, how)
        by_label = {part.concern.label: part for part in self.parts}
        return Comparisons(
            reference=self.reference.ref,
            rows=len(test),
            accuracy=outcome.accuracy,
            macro_f1=outcome.macro_f1,
            concerns=[
                ConcernCompared(
                    label=label,
                    model=by_label[label].origin.ref,
                    module=by_label[label].id,
                    support=int((truth == column).sum()),
                    f1=outcome.f1[column],
                )
                for column, label in enumerate(labels)
            ],
            resamples=how.resamples,
            confidence=how.confidence,
            seed=how.seed,
        )

    def _after(self, done: int) -> Checkpoint:
        return lambda rows: self.checkpoint(done + rows)


def restricted_answers(
    origin: Origin, inputs: Sequence[Any], labels: Sequence[str], *, checkpoint: Checkpoint = unwatched
) -> AnswerTable:
    """What a whole model answers when it may name these labels only [rows, labels]; never one that it does not know."""
    logits = predict(origin.model, origin.encoder(inputs), checkpoint=checkpoint)
    allowed = np.full((len(inputs), len(labels)), -np.inf)
    for column, label in enumerate(labels):
        if label in origin.labels:
            allowed[:, column] = logits[:, list(origin.labels).index(label)]
    return tabulate(allowed.argmax(axis=1), len(labels))


def _original(parts: Sequence[ModulePart]) -> Origin:
    """The model that most parts were made of, the first of those where several are."""
    by_id = {id(part.base): part.base for part in parts}
    return by_id[Counter(id(part.base) for part in parts).most_common(1)[0][0]]


def _number_type(spec: CombineSpec, parts: Sequence[ModulePart]) -> NumberType:
    """That a class set is stored in."""
    return number_type_of(spec.export or Export(), parts[0].base.number_type)


def _usable(spec: CombineSpec, parts: Sequence[ModulePart], data: Data) -> Data:
    usable = data.of(labels_of(parts), spec.evaluation.limit)
    check_tasks({part.concern.label: part.origin.task for part in parts})
    if not len(usable.test):
        raise NotEnoughSamples(
            f"The split {spec.evaluation.split!r} has no example of the modules' concerns to measure on.",
            hint="Name a dataset whose labels are those of the modules.",
            pointer="/dataset",
        )
    return usable


def _notes(labels: Sequence[str], reference: Origin) -> list[str]:
    unknown = [label for label in labels if label not in reference.labels]
    if not unknown:
        return []
    return [f"{reference.ref}, which this is compared with, does not know {', '.join(unknown)}: its F1 there is 0."]
