"""The report: how well logits answer labels, per class and overall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from microlith.contract import ClassScore, Report
from microlith.contract.module import Macro
from worker.evaluation.runner import Logits

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """Measures on one split, over all classes of the model; `loss` is the mean cross-entropy in nats."""

    classes: tuple[ClassScore, ...]
    macro: Macro
    accuracy: float
    loss: float


def score(logits: Logits, labels: Labels, label_names: Sequence[str]) -> Score:
    """Precision, recall and F1 of every class, 0 where undefined, their unweighted means, accuracy and loss."""
    predictions = logits.argmax(axis=1)
    ids = range(len(label_names))
    by_measure = precision_recall_fscore_support(labels, predictions, labels=list(ids), zero_division=0)
    precision, recall, f1, support = (values.tolist() for values in by_measure)
    return Score(
        classes=tuple(
            ClassScore(
                id=i, label=label_names[i], precision=precision[i], recall=recall[i], f1=f1[i], support=support[i]
            )
            for i in ids
        ),
        macro=Macro(precision=_mean(precision), recall=_mean(recall), f1=_mean(f1)),
        accuracy=float((predictions == labels).mean()),
        loss=cross_entropy(logits, labels),
    )


def report(measured: Score, validation_exp_loss: float) -> Report:
    """The report of a module: its score on the evaluation split with `exp_loss` of the validation split."""
    return Report(
        classes=list(measured.classes),
        macro=measured.macro,
        accuracy=measured.accuracy,
        loss=measured.loss,
        exp_loss=validation_exp_loss,
    )


def cross_entropy(logits: Logits, labels: Labels) -> float:
    """Mean over the rows of −log softmax(logits)[label], in nats, float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)  # [rows, classes], at most 0
    chosen = shifted[np.arange(len(labels)), labels]
    return float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())


def exp_loss(logits: Logits, labels: Labels) -> float:
    """exp(mean cross-entropy), at most the largest float64 (the seed system's "perplexity")."""
    return math.exp(min(cross_entropy(logits, labels), math.log(np.finfo(np.float64).max)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
