"""The report: how well logits answer labels, per class and overall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from microlith.contract import ClassScore, Report
from microlith.contract.module import Macro, Micro
from worker.compute.arrays import Logits, Truth
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, agreement

MOST_CONFUSED = 100
"""A model of more classes has no confusion matrix in its report: it would outgrow everything else there."""

Hits = npt.NDArray[np.int64]

Z = 1.959964
"""The standard normal's 97.5 % point: intervals hold 95 %."""


@dataclass(frozen=True)
class Score:
    """Measures on one split, over all classes of the model; `loss` is the mean in nats of what its meaning says."""

    classes: tuple[ClassScore, ...]
    macro: Macro
    micro: Micro | None
    examples: int
    accuracy: float
    loss: float
    confusion: list[list[int]] | None


def score(logits: Logits, truth: Truth, label_names: Sequence[str], meaning: Meaning = SINGLE_LABEL) -> Score:
    """Precision, recall and F1 of every class, 0 where undefined, their unweighted means, accuracy and loss."""
    answers = meaning.answers(logits)
    ids = range(len(label_names))
    by_measure = precision_recall_fscore_support(truth, answers, labels=list(ids), zero_division=0)
    precision, recall, f1, support = (values.tolist() for values in by_measure)
    right, given = _count_hits(answers, truth, len(ids))
    thresholds: Sequence[float | None] = meaning.thresholds or [None] * len(ids)
    one_class = truth.ndim == 1
    return Score(
        classes=tuple(
            ClassScore(
                id=i,
                label=label_names[i],
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                support=support[i],
                threshold=thresholds[i],
                f1_interval=f1_interval(int(right[i]), int(given[i]) + int(support[i]) - int(right[i])),
            )
            for i in ids
        ),
        macro=Macro(precision=_mean(precision), recall=_mean(recall), f1=_mean(f1)),
        micro=None if one_class else _micro(answers, truth),
        examples=len(truth),
        accuracy=agreement(answers, truth),
        loss=meaning.loss(logits, truth),
        confusion=confusion_matrix(truth, answers, labels=list(ids)).tolist()
        if one_class and len(ids) <= MOST_CONFUSED
        else None,
    )


def f1_interval(right: int, touched: int) -> tuple[float, float] | None:
    """The 95 % interval of F1 from true positives among all that are of the class or were given it; None of nothing.

    F1 = 2J / (1 + J) grows with the proportion J = TP / (TP + FP + FN) (Hand, Christen & Kirielle 2021), whose interval
    is Wilson's (1927). SciPy's `binomtest` gives it too, but runs an exact test for each class before.
    """
    if touched == 0:
        return None
    j, spread = right / touched, Z * Z / touched
    middle = (j + spread / 2) / (1 + spread)
    half = Z * math.sqrt(j * (1 - j) / touched + spread / (4 * touched)) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def report(measured: Score, validation_exp_loss: float) -> Report:
    """The report of a module: its score on the evaluation split with `exp_loss` of the validation split."""
    return Report(
        classes=list(measured.classes),
        macro=measured.macro,
        micro=measured.micro,
        examples=measured.examples,
        accuracy=measured.accuracy,
        loss=measured.loss,
        exp_loss=validation_exp_loss,
        confusion=measured.confusion,
    )


def exp_loss(logits: Logits, truth: Truth, meaning: Meaning = SINGLE_LABEL) -> float:
    """exp(mean loss), at most the largest float64 (the seed system's "perplexity")."""
    return math.exp(min(meaning.loss(logits, truth), math.log(np.finfo(np.float64).max)))


def _count_hits(answers: Truth, truth: Truth, classes: int) -> tuple[Hits, Hits]:
    """How often each class was answered rightly, and how often at all [classes]."""
    if truth.ndim == 2:
        return (answers & truth).sum(axis=0), answers.sum(axis=0)
    return np.bincount(truth[answers == truth], minlength=classes), np.bincount(answers, minlength=classes)


def _micro(answers: Truth, truth: Truth) -> Micro:
    precision, recall, f1, _ = precision_recall_fscore_support(truth, answers, average="micro", zero_division=0)
    return Micro(precision=float(precision), recall=float(recall), f1=float(f1))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
