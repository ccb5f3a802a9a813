"""Calibration: scores of different modules made comparable, on validation data.

A line for each label, slope · score + intercept, never falling, so that no module is turned against its concern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from microlith.contract.combine import Scaling
from worker.combining.scores import ConcernScores, Places

Coefficients = npt.NDArray[np.float64]

_FOLDS = 5

_WEAK = 1e6
"""The inverse of the penalty on slopes: next to none, which keeps what can be separated from growing for ever."""


@dataclass(frozen=True)
class ScoreCalibration:
    """A line for each label: slopes, none below zero, and intercepts, [labels] each."""

    slopes: Coefficients
    intercepts: Coefficients

    def __call__(self, scores: ConcernScores) -> ConcernScores:
        """Scores [rows, labels], comparable between labels."""
        calibrated: ConcernScores = scores * self.slopes + self.intercepts
        return calibrated


def calibrate(scores: ConcernScores, labels: Places, scaling: Scaling) -> ScoreCalibration:
    """Fitted to scores [rows, labels] and the rows' true places among the labels, each of which has an example."""
    return _FITS[scaling](scores, labels)


def cross_validated(scores: ConcernScores, labels: Places) -> dict[Scaling, float]:
    """Macro-F1 of the highest score under every calibration, each row calibrated by the folds it is not in.

    What tells calibrations apart without test data. Five folds, or as many as the rarest label has examples; empty
    where that is one.
    """
    folds = min(_FOLDS, int(np.bincount(labels, minlength=scores.shape[1]).min()))
    if folds < 2:
        return {}
    macro_f1: dict[Scaling, float] = {}
    for scaling in _FITS:
        answers = np.empty_like(labels)
        for train, held in StratifiedKFold(folds).split(scores, labels):
            answers[held] = calibrate(scores[train], labels[train], scaling)(scores[held]).argmax(axis=1)
        macro_f1[scaling] = float(f1_score(labels, answers, average="macro"))
    return macro_f1


def _as_they_are(scores: ConcernScores, _labels: Places) -> ScoreCalibration:
    return ScoreCalibration(np.ones(scores.shape[1]), np.zeros(scores.shape[1]))


def _platt(scores: ConcernScores, labels: Places) -> ScoreCalibration:
    """Logistic regression of membership on each score alone (Platt 1999): log-odds with the label's prior in them."""
    return _each_alone(scores, labels, intercept=True)


def _temperature(scores: ConcernScores, labels: Places) -> ScoreCalibration:
    """The same without an intercept: each label's log-odds over a temperature (Guo et al. 2017)."""
    return _each_alone(scores, labels, intercept=False)


def _each_alone(scores: ConcernScores, labels: Places, *, intercept: bool) -> ScoreCalibration:
    slopes, intercepts = np.ones(scores.shape[1]), np.zeros(scores.shape[1])
    for column in range(scores.shape[1]):
        line = LogisticRegression(C=_WEAK, fit_intercept=intercept, max_iter=1000)
        line.fit(scores[:, [column]], labels == column)
        slopes[column] = max(0.0, float(line.coef_[0, 0]))
        intercepts[column] = float(line.intercept_[0]) if intercept else 0.0
    return ScoreCalibration(slopes, intercepts)


def _joint(scores: ConcernScores, labels: Places) -> ScoreCalibration:
    """All lines at once, by the cross-entropy of the softmax over labels: vector scaling (Guo et al. 2017).

    It starts from Platt's slopes. A small penalty holds each line near its start where the data do not decide.
    """
    start = _platt(scores, labels)
    width = np.maximum(scores.std(axis=0), 1e-6)  # steps of one size for scores of every range
    origin = np.concatenate([start.slopes * width, start.intercepts])
    count, classes = scores.shape
    scaled, rows = scores / width, np.arange(count)

    def loss(line: Coefficients) -> tuple[float, Coefficients]:
        slopes, intercepts, apart = line[:classes], line[classes:], line - origin
        log_p = log_softmax(scaled * slopes + intercepts, axis=1)
        error = np.exp(log_p)
        error[rows, labels] -= 1.0
        gradient = np.concatenate([(error * scaled).sum(axis=0), error.sum(axis=0)]) / count
        value = -float(log_p[rows, labels].mean()) + float(apart @ apart) / (2 * _PRIOR * count)
        return value, gradient + apart / (_PRIOR * count)

    bounds = [(0.0, None)] * classes + [(None, None)] * classes
    lines = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=bounds).x
    return ScoreCalibration(lines[:classes] / width, lines[classes:])


_PRIOR = 100.0
"""The variance of the lines around their start: wide, as the scaled slopes are about as large as log-odds."""

_FITS: dict[Scaling, Callable[[ConcernScores, Places], ScoreCalibration]] = {
    "joint": _joint,
    "platt": _platt,
    "temperature": _temperature,
    "none": _as_they_are,
}
