"""A first idea of how well a module does, from as many examples of each class, before the whole split is run.

A class-balanced sample tells of rare classes as much as of frequent ones; what it says is weighed by how frequent they
are in the split, so that the estimate is one of the split's own F1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from microlith.contract import EarlyScore
from worker.compute.arrays import Rows, Truth
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.evaluation.runner import evenly
from worker.evaluation.shared_batches import Course
from worker.evaluation.shortcuts import Shortcuts

PER_CLASS = 50
LARGEST_SHARE = 0.05
"""Of the split; where the sample would be a larger part of it, the split itself is soon done."""

DRAWS = 2000

Counts = npt.NDArray[np.int64]


@dataclass
class Estimator:
    """Rows of a split as the sample, and how many of each class [classes] there are in the split."""

    course: Course
    rows: Rows
    sizes: Counts

    @classmethod
    def of(cls, examples: Examples, classes: int, shortcuts: Shortcuts) -> Estimator | None:
        """The sample of a split; None where it would be too large a part of it, and for rows of several labels.

        Thresholds of labels are chosen on the whole validation split, which has not been answered yet.
        """
        if examples.labels.ndim == 2:
            return None
        rows = balanced(examples.labels, classes)
        if len(rows) > LARGEST_SHARE * len(examples):
            return None
        sizes = np.bincount(examples.labels, minlength=classes)
        return cls(Course(examples, rows, shortcuts=shortcuts, room=0), rows, sizes)

    def estimate(self, module: nn.Module, concern: int, checkpoint: Checkpoint = unwatched) -> EarlyScore:
        """How well a module does on its concern."""
        labels = self.course.examples.labels[self.rows]
        given = self.course.predict(module, checkpoint)[self.rows].argmax(1) == concern
        drawn = np.bincount(labels, minlength=len(self.sizes))
        taken = np.bincount(labels[given], minlength=len(self.sizes))
        f1, interval = weighed(taken, drawn, self.sizes, concern)
        return EarlyScore(f1=f1, f1_interval=interval, examples=len(labels))


def balanced(labels: Truth, classes: int) -> Rows:
    """At most PER_CLASS rows of each class, spread evenly over it; ascending."""
    of_class = [np.flatnonzero(labels == c) for c in range(classes)]
    return np.sort(np.concatenate([rows[evenly(len(rows), PER_CLASS)] for rows in of_class]))


def weighed(taken: Counts, drawn: Counts, sizes: Counts, concern: int) -> tuple[float, tuple[float, float]]:
    """F1 of the concern and its 95 % interval, from how many of those `drawn` of each class were `taken` for it.

    The interval is that of a parametric bootstrap, class by class; half an error is added on either side, so that a
    sample without any is not taken for certainty.
    """
    others = np.arange(len(sizes)) != concern
    share = np.divide(taken, drawn, out=np.zeros(len(sizes)), where=drawn > 0)
    half = np.where(others, 0.5 * sizes / max(1, sizes[others].sum()), 0.5)
    held = np.divide(taken + half, drawn + np.where(others, half, 1.0), out=np.zeros(len(sizes)), where=drawn > 0)
    draws = np.random.default_rng(0).binomial(drawn, held, size=(DRAWS, len(sizes)))
    again = np.divide(draws, drawn, out=np.zeros(draws.shape), where=drawn > 0)
    low, high = np.quantile(_f1(again, sizes, concern), [0.025, 0.975])
    f1 = float(_f1(share[None], sizes, concern)[0])
    return f1, (min(float(low), f1), max(float(high), f1))


def _f1(share: npt.NDArray[np.float64], sizes: Counts, concern: int) -> npt.NDArray[np.float64]:
    """2 TP / (positives given + positives there), from the share of each class [n, classes] that is taken for it."""
    given = share @ sizes
    right = share[:, concern] * sizes[concern]
    both: npt.NDArray[np.float64] = given + sizes[concern]
    f1: npt.NDArray[np.float64] = np.divide(2 * right, both, out=np.zeros_like(both), where=both > 0)
    return f1
