"""Which classes a model takes a concern for, and which it takes for the concern: the negatives that tell most."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from worker.compute.arrays import Truth

Confusion = npt.NDArray[np.int64]


def confusion(answers: npt.NDArray[Any], labels: Truth, classes: int) -> Confusion:
    """How often a row of class i was answered with class j [classes, classes].

    `answers` are predictions [rows], or logits [rows, classes], of which the highest is the prediction.
    """
    predictions = answers.argmax(axis=1) if answers.ndim == 2 else answers
    counted = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counted, (labels, predictions), 1)
    return counted


def confusers(counted: Confusion, concern: int) -> dict[int, int]:
    """How often each other class was taken for the concern or the concern for it."""
    both = counted[concern] + counted[:, concern]
    return {label: int(both[label]) for label in range(len(both)) if label != concern}
