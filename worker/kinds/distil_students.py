"""How the modules of a job learn: one student for each ratio, whatever the concerns, which all its modules are made of.

The base answers the texts once. A student begins where least squares end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

from torch import nn

from app.domain.distilling import LEARNING_RATE, epochs_for
from microlith.contract import JobSpec
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.distilling.lessons import Lessons
from worker.distilling.student import Student
from worker.distilling.training import Keep, Recipe, Study, Training, forget
from worker.evaluation.report import score
from worker.evaluation.runner import predict
from worker.families.anatomy import Anatomy
from worker.kinds.draw_samples import draw_to_repair
from worker.kinds.study_store import StudyStore
from worker.pruning.masks import Mask
from worker.pruning.repair import Repair
from worker.sources.open_sources import Sources


@dataclass
class School:
    """The students of one job: what they learn from, and what judges them.

    `check` is heard by work that is not counted. Without a `store` nothing is kept for a later attempt.
    """

    spec: JobSpec
    sources: Sources
    anatomy: Anatomy
    validation: Examples
    store: StudyStore | None = None
    check: Checkpoint = unwatched

    @property
    def rows(self) -> int:
        """Rows that pass through a model: once for all students, and in every epoch of each; none if nothing learns."""
        if self.spec.recovery != "distil":
            return 0
        return len(self._examples) * (1 + self._recipe.epochs * len(self.spec.ratios))

    def teach(self, masks: Mapping[float, Mask], checkpoint: Checkpoint = unwatched) -> dict[float, Mask]:
        """The masks, by ratio of the spec, with what their students have learned."""
        model, distil = self.sources.model.model, self.spec.distil
        answers = predict(model, self._examples, checkpoint=checkpoint)
        lessons = Lessons(self._examples, answers, distil.temperature, self.spec.sampling.seed)
        learned, done = {}, len(self._examples)
        for ratio, mask in masks.items():
            student = Student.of(model, self._repair.mend(mask, 0, self.check), self.anatomy)
            self._train(student, lessons, ratio).run(self._keeper(ratio), partial(_count_on, checkpoint, done))
            learned[ratio] = replace(mask, tensors=student.scatter())
            done += len(self._examples) * self._recipe.epochs
        return learned

    def close(self) -> None:
        """All modules are made: nobody needs the students any more."""
        if self.store is not None and self.spec.recovery == "distil":
            self.store.forget(len(self.spec.ratios))

    def _train(self, student: Student, lessons: Lessons, ratio: float) -> Training:
        study = self.store.find(self.spec.ratios.index(ratio)) if self.store else Study()
        return Training(student.model, student.parameters, lessons, self._judge, self._recipe, study)

    def _keeper(self, ratio: float) -> Keep:
        return partial(self.store.keep, self.spec.ratios.index(ratio)) if self.store else forget

    def _judge(self, model: nn.Module) -> float:
        """Macro-F1 on the validation split."""
        logits = predict(model, self.validation, checkpoint=self.check)
        return score(logits, self.validation.labels, self.sources.model.labels).macro.f1

    @cached_property
    def _examples(self) -> Examples:
        role = self.spec.distil.texts
        return self.sources.encode(role, range(len(self.sources.labels(role))))

    @cached_property
    def _repair(self) -> Repair:
        spec, sources = self.spec.model_copy(update={"recovery": "refit"}), self.sources
        return Repair(spec, sources.model.model, self.anatomy, sources.layers, partial(draw_to_repair, spec, sources))

    @cached_property
    def _recipe(self) -> Recipe:
        distil = self.spec.distil
        return Recipe(epochs_for(self.spec, len(self._examples)), distil.learning_rate or LEARNING_RATE, distil.minutes)


def _count_on(checkpoint: Checkpoint, before: int, done: int) -> None:
    checkpoint(before + done)
