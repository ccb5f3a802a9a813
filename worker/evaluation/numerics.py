"""What models answer to the examples of both splits, in float32 or, where that says the same, in bfloat16.

The rule: bfloat16 counts where its predictions are those of float32 on at least 99.9 % of examples spread evenly over
the evaluation split, tried for every model anew. Where they are not, that model answers everything in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from microlith.contract import Numerics
from worker.compute.arrays import Logits
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, agreement
from worker.evaluation.runner import evenly
from worker.evaluation.shared_batches import Course
from worker.evaluation.shortcuts import Shortcuts

AGREEMENT = 0.999
CHECKED_ROWS = 2048
"""Examples that are answered in both: two that differ are few enough, three are too many."""


@dataclass(frozen=True)
class SplitLogits:
    """A model's logits on both splits; `numerics` where that was a question."""

    test: Logits
    validation: Logits
    numerics: Numerics | None = None


@dataclass
class Questions:
    """Both splits, put to one model of a job after another; `reduced` asks in bfloat16 first."""

    test: Examples
    validation: Examples
    shortcuts: Shortcuts
    reduced: bool = False
    meaning: Meaning = SINGLE_LABEL
    _courses: tuple[Course, ...] = field(init=False)
    _checked: Course = field(init=False)

    def __post_init__(self) -> None:
        dtype, splits = torch.bfloat16 if self.reduced else None, (self.test, self.validation)
        self._courses = tuple(Course(split, shortcuts=self.shortcuts, dtype=dtype) for split in splits)
        self._rows = evenly(len(self.test), CHECKED_ROWS)
        self._checked = Course(self.test, self._rows, shortcuts=self.shortcuts)

    @property
    def rows(self) -> int:
        """Examples of both splits."""
        return len(self.test) + len(self.validation)

    def ask(self, model: nn.Module, checkpoint: Checkpoint = unwatched) -> SplitLogits:
        """The model's answers to everything. `checkpoint` hears the rows done, up to `rows`, and may raise."""
        answers = self._all(model, self._courses, checkpoint)
        if not self.reduced:
            return answers
        exact = self._checked.predict(model, lambda _: checkpoint(self.rows))
        said = self.meaning.calibrated(answers.validation, self.validation.labels).answers
        alike = agreement(said(exact[self._rows]), said(answers.test[self._rows]))
        dtype = "bfloat16" if alike >= AGREEMENT else "float32"
        if dtype == "float32":
            plain = (Course(split, shortcuts=self.shortcuts, room=0) for split in (self.test, self.validation))
            answers = self._all(model, tuple(plain), lambda _: checkpoint(self.rows))
        return replace(answers, numerics=Numerics(dtype=dtype, agreement=alike, examples=len(self._rows)))

    def _all(self, model: nn.Module, courses: tuple[Course, ...], checkpoint: Checkpoint) -> SplitLogits:
        test, validation = courses
        answered = test.predict(model, checkpoint)
        return SplitLogits(answered, validation.predict(model, lambda rows: checkpoint(len(self.test) + rows)))
