"""How the modules of a job learn: one student for each ratio, whatever the concerns, which all its modules are made of.

The base answers the texts once. Each epoch's state is left in the object store, where a later attempt finds it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from torch import nn

from app.domain.distilling import LEARNING_RATE, epochs_for
from app.services.sweeping import STUDENTS
from microlith.contract import JobSpec
from worker.attempt.attempt import Attempt
from worker.compute.batches import Checkpoint
from worker.compute.examples import Examples
from worker.distilling.lessons import Lessons
from worker.distilling.student import Student
from worker.distilling.study_file import MEDIA_TYPE, load, save
from worker.distilling.training import Recipe, Study, Training
from worker.evaluation.report import score
from worker.evaluation.runner import predict
from worker.families.anatomy import Anatomy
from worker.kinds.draw_samples import draw_to_repair
from worker.pruning.masks import Mask
from worker.pruning.repair import Repair
from worker.sources.open_sources import Sources

KEPT_SECONDS = 30.0
"""A state is kept at most so often, and in the end."""


@dataclass
class School:
    """The students of one job: what they learn from, and what judges them."""

    spec: JobSpec
    sources: Sources
    anatomy: Anatomy
    validation: Examples
    attempt: Attempt
    scratch: Path

    @property
    def rows(self) -> int:
        """Rows that pass through a model for each student, and once for all."""
        return (
            0
            if self.spec.recovery != "distil"
            else len(self._examples) * (1 + self._recipe.epochs * len(self.spec.ratios))
        )

    def teach(self, masks: Mapping[float, Mask], checkpoint: Checkpoint) -> dict[float, Mask]:
        """The masks, by ratio, with what their students have learned; the job's spec asks for recovery `distil`."""
        size = len(self._examples)
        answers = predict(self.sources.model.model, self._examples, checkpoint=checkpoint)
        distil = self.spec.distil
        lessons = Lessons(self._examples, answers, distil.temperature, self.spec.sampling.seed)
        learned = {}
        for place, (ratio, mask) in enumerate(masks.items()):
            before = size * (1 + place * self._recipe.epochs)
            solved = self._repair.mend(mask, 0, self.attempt.check)
            student = Student.of(self.sources.model.model, solved, self.anatomy)
            self._learn(student, lessons, ratio, partial(_count_on, checkpoint, before))
            learned[ratio] = replace(mask, tensors=student.scatter())
        return learned

    def forget(self) -> None:
        """Takes the states of the job's students out of the store; what stays is swept."""
        with suppress(OSError):
            for ratio in self.spec.ratios:
                self.attempt.objects.delete(self._key(ratio))

    def _learn(self, student: Student, lessons: Lessons, ratio: float, checkpoint: Checkpoint) -> None:
        training = Training(
            student.model, student.parameters, lessons, self._judge, self._recipe, self._find_study(ratio)
        )
        kept = time.monotonic()

        def keep(study: Study) -> None:
            nonlocal kept
            if study.over or time.monotonic() - kept > KEPT_SECONDS:
                self._keep(study, ratio)
                kept = time.monotonic()

        training.run(keep, checkpoint)

    def _judge(self, model: nn.Module) -> float:
        """Macro-F1 on the validation split."""
        logits = predict(model, self.validation, checkpoint=self.attempt.check)
        return score(logits, self.validation.labels, self.sources.model.labels).macro.f1

    def _find_study(self, ratio: float) -> Study:
        """How far an earlier attempt has come; the beginning where there was none."""
        key, file = self._key(ratio), self.scratch / "study.safetensors"

        def fetch() -> bool:
            if self.attempt.objects.head(key) is None:
                return False
            self.attempt.objects.download(key, file)
            return True

        return load(file) if self.attempt.reach_store(fetch) else Study()

    def _keep(self, study: Study, ratio: float) -> None:
        file = self.scratch / "study.safetensors"
        save(study, file)
        self.attempt.reach_store(
            lambda: self.attempt.objects.put_file(self._key(ratio), file, MEDIA_TYPE, replace=True)
        )

    def _key(self, ratio: float) -> str:
        return f"{STUDENTS}/{self.attempt.lease.job_id}/{self.spec.ratios.index(ratio)}.safetensors"

    @cached_property
    def _examples(self) -> Examples:
        role = self.spec.distil.texts
        return self.sources.encode(role, range(len(self.sources.labels(role))))

    @cached_property
    def _repair(self) -> Repair:
        """A student begins where least squares end."""
        spec, sources = self.spec.model_copy(update={"recovery": "refit"}), self.sources
        return Repair(spec, sources.model.model, self.anatomy, sources.layers, partial(draw_to_repair, spec, sources))

    @cached_property
    def _recipe(self) -> Recipe:
        distil = self.spec.distil
        return Recipe(epochs_for(self.spec, len(self._examples)), distil.learning_rate or LEARNING_RATE, distil.minutes)


def _count_on(checkpoint: Checkpoint, before: int, done: int) -> None:
    checkpoint(before + done)
