"""What logits mean: the one class of an input, or each label that it has.

All that tells the two kinds of classifier apart when answers are measured, compared or shown is here. A single-label
classifier answers with its highest logit, and its probabilities are a softmax. A multi-label classifier answers with
every label whose logit reaches a threshold of its own, and its probabilities are sigmoids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_softmax, softmax

from microlith.contract import Report
from worker.compute.arrays import Logits, Truth
from worker.evaluation.binary import Members, MemberScores, best_threshold, margins

AnyLogits = npt.NDArray[np.floating]
"""Logits [rows, classes] of any precision."""

Probabilities = npt.NDArray[np.float64]

TOGETHER = 2048
"""Rows whose losses are taken at a time: float64 of all is large."""


class Meaning(Protocol):
    """What the logits [rows, classes] of one model mean."""

    @property
    def thresholds(self) -> Sequence[float] | None:
        """The logits from which on each label is given [labels]; None where the highest logit is the answer."""

    def calibrated(self, logits: Logits, truth: Truth) -> Meaning:
        """The same with all that is chosen by validation data."""

    def answers(self, logits: AnyLogits) -> Truth:
        """What the model says, as the truth is stored: class ids [rows], or whether each label is given."""

    def probabilities(self, logits: AnyLogits) -> Probabilities:
        """Of every class [rows, classes]."""

    def loss(self, logits: Logits, truth: Truth) -> float:
        """The mean loss over the rows in nats, float64: what the model was trained to make small."""

    def divergence(self, base: AnyLogits, module: AnyLogits) -> float:
        """The mean over the rows of KL(base ‖ module) in nats; 0 is the same."""

    def margins(self, logits: AnyLogits, concern: int) -> MemberScores:
        """How far each row is the concern's [rows]: what a binary head answers by."""

    def members(self, truth: Truth, concern: int) -> Members:
        """The rows that are of the concern [rows]."""


@dataclass(frozen=True)
class SingleLabel:
    """Each input has one class."""

    thresholds = None

    def calibrated(self, _logits: Logits, _truth: Truth) -> Meaning:
        """Nothing is chosen."""
        return self

    def answers(self, logits: AnyLogits) -> Truth:
        """The class of the highest logit."""
        highest: Truth = logits.argmax(axis=1)
        return highest

    def probabilities(self, logits: AnyLogits) -> Probabilities:
        """The softmax of each row."""
        rows: Probabilities = softmax(logits.astype(np.float64), axis=1)
        return rows

    def loss(self, logits: Logits, truth: Truth) -> float:
        """The cross-entropy."""
        return cross_entropy(logits, truth)

    def divergence(self, base: AnyLogits, module: AnyLogits) -> float:
        """Between the softmaxes."""
        p, q = log_softmax(base, axis=1), log_softmax(module, axis=1)
        return max(0.0, float((np.exp(p) * (p - q)).sum(axis=1).mean()))

    def margins(self, logits: AnyLogits, concern: int) -> MemberScores:
        """The concern's logit less the mean of the others'."""
        return margins(logits, concern)

    def members(self, truth: Truth, concern: int) -> Members:
        """The rows of that class."""
        own: Members = truth == concern
        return own


@dataclass(frozen=True)
class MultiLabel:
    """Each input has any number of labels; without thresholds, those of probability one half and more."""

    thresholds: Sequence[float] | None = None

    def calibrated(self, logits: Logits, truth: Truth) -> Meaning:
        """With the threshold of best F1 for each label; 0 for one that no row has, or every row."""
        labels = range(logits.shape[1])
        return MultiLabel([best_threshold(self.margins(logits, i), self.members(truth, i)) for i in labels])

    def answers(self, logits: AnyLogits) -> Truth:
        """Whether each label reaches its threshold [rows, labels]."""
        given: Truth = logits >= (0.0 if self.thresholds is None else np.array(self.thresholds))
        return given

    def probabilities(self, logits: AnyLogits) -> Probabilities:
        """The sigmoid of each logit."""
        each: Probabilities = expit(logits.astype(np.float64))
        return each

    def loss(self, logits: Logits, truth: Truth) -> float:
        """The binary cross-entropy, a mean over the labels too."""
        return binary_cross_entropy(logits, truth)

    def divergence(self, base: AnyLogits, module: AnyLogits) -> float:
        """Between the answers yes and no to each label, a sum over the labels."""
        p, q = base.astype(np.float64), module.astype(np.float64)
        yes = expit(p) * (log_expit(p) - log_expit(q))
        no = expit(-p) * (log_expit(-p) - log_expit(-q))
        return max(0.0, float((yes + no).sum(axis=1).mean()))

    def margins(self, logits: AnyLogits, concern: int) -> MemberScores:
        """The label's own logit."""
        own: MemberScores = logits[:, concern].astype(np.float64)
        return own

    def members(self, truth: Truth, concern: int) -> Members:
        """The rows that have the label."""
        own: Members = truth[:, concern].astype(bool)
        return own


SINGLE_LABEL: Meaning = SingleLabel()


def meaning_of(report: Report) -> Meaning:
    """What the logits mean of the model that was measured."""
    thresholds = [row.threshold for row in report.classes if row.threshold is not None]
    return MultiLabel(thresholds) if thresholds else SINGLE_LABEL


def agreement(base: Truth, module: Truth) -> float:
    """The fraction of rows that both answer alike, all labels of a row together."""
    same = base == module
    return float((same.all(axis=1) if same.ndim == 2 else same).mean())


def cross_entropy(logits: Logits, labels: Truth) -> float:
    """Mean over the rows of −log softmax(logits)[label], in nats, float64."""
    likelihoods = np.empty(len(labels))  # logarithms, none above 0
    for start in range(0, len(labels), TOGETHER):
        some = slice(start, start + TOGETHER)
        log_p = log_softmax(logits[some].astype(np.float64), axis=1)  # [rows, classes]
        likelihoods[some] = log_p[np.arange(len(log_p)), labels[some]]
    return abs(float(likelihoods.mean()))


def binary_cross_entropy(logits: Logits, has: Truth) -> float:
    """Mean over rows and labels of −log of the sigmoid of the logit, or of its negative where a row lacks the label."""
    likelihoods = np.empty(len(has))
    for start in range(0, len(has), TOGETHER):
        some = slice(start, start + TOGETHER)
        signed = np.where(has[some], 1.0, -1.0) * logits[some]  # [rows, labels]
        likelihoods[some] = log_expit(signed).mean(axis=1)
    return abs(float(likelihoods.mean()))
