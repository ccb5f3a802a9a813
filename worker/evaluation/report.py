"""The report: how well logits answer labels, per class and overall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from microlith.contract import ClassScore, Report
from microlith.contract.module import Macro
from worker.compute.arrays import Labels, Logits

MOST_CONFUSED = 100
"""A model of more classes has no confusion matrix in its report: it would outgrow everything else there."""

TOGETHER = 2048
"""Rows whose losses are taken at a time."""

Z = 1.959964
"""The standard normal's 97.5 % point: intervals hold 95 %."""


@dataclass(frozen=True)
class Score:
    """Measures on one split, over all classes of the model; `loss` is the mean cross-entropy in nats."""

    classes: tuple[ClassScore, ...]
    macro: Macro
    accuracy: float
    loss: float
    confusion: list[list[int]] | None


def score(logits: Logits, labels: Labels, label_names: Sequence[str]) -> Score:
    """Precision, recall and F1 of every class, 0 where undefined, their unweighted means, accuracy and loss."""
    predictions = logits.argmax(axis=1)
    ids = range(len(label_names))
    by_measure = precision_recall_fscore_support(labels, predictions, labels=list(ids), zero_division=0)
    precision, recall, f1, support = (values.tolist() for values in by_measure)
    right = np.bincount(labels[predictions == labels], minlength=len(ids))  # [classes]
    given = np.bincount(predictions, minlength=len(ids))
    return Score(
        classes=tuple(
            ClassScore(
                id=i,
                label=label_names[i],
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                support=support[i],
                f1_interval=f1_interval(int(right[i]), int(given[i]) + int(support[i]) - int(right[i])),
            )
            for i in ids
        ),
        macro=Macro(precision=_mean(precision), recall=_mean(recall), f1=_mean(f1)),
        accuracy=float((predictions == labels).mean()),
        loss=cross_entropy(logits, labels),
        confusion=confusion_matrix(labels, predictions, labels=list(ids)).tolist()
        if len(ids) <= MOST_CONFUSED
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
        accuracy=measured.accuracy,
        loss=measured.loss,
        exp_loss=validation_exp_loss,
        confusion=measured.confusion,
    )


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean over the rows of −log softmax(logits)[label], in nats, float64."""
    likelihoods = np.empty(len(labels))  # logarithms, none above 0
    for start in range(0, len(labels), TOGETHER):  # float64 of all is large
        some = slice(start, start + TOGETHER)
        log_p = log_softmax(logits[some].astype(np.float64), axis=1)  # [rows, classes]
        likelihoods[some] = log_p[np.arange(len(log_p)), labels[some]]
    return abs(float(likelihoods.mean()))


def exp_loss(logits: Logits, labels: Labels) -> float:
    """exp(mean cross-entropy), at most the largest float64 (the seed system's "perplexity")."""
    return math.exp(min(cross_entropy(logits, labels), math.log(np.finfo(np.float64).max)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
