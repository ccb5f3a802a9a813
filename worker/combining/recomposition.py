"""Recomposition: modules of any models as one classifier of their concerns. Here it is a Python object.

Each module says how far an example is its own concern's; calibration makes that comparable; the highest decides, or
every one that reaches its threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.domain.errors import NotEnoughSamples
from microlith.contract.combine import Decision, LabelScaling, Scaling
from worker.combining.calibration import ScoreCalibration, calibrate, cross_validated
from worker.combining.comparison import AnswerTable, tabulate
from worker.combining.parts import LabelledRows, ModulePart, labels_of
from worker.combining.scores import ConcernScores, scores_of
from worker.compute.batches import Checkpoint, unwatched
from worker.evaluation.binary import best_threshold


@dataclass(frozen=True)
class Recomposition:
    """Parts, one for each label, what calibrates them and what decides; thresholds [labels] are of calibrated scores.

    What this answers is what its exported graph answers. `cross_validated` is the macro-F1 of every calibration there
    is, on the validation examples.
    """

    parts: Sequence[ModulePart]
    labels: list[str]
    calibration: ScoreCalibration
    decision: Decision
    thresholds: npt.NDArray[np.float64]
    cross_validated: Mapping[Scaling, float]

    def scores(self, inputs: Sequence[Any], *, checkpoint: Checkpoint = unwatched) -> ConcernScores:
        """Calibrated scores [rows, labels]."""
        return self.calibration(scores_of(self.parts, inputs, checkpoint=checkpoint))

    def answers(self, scores: ConcernScores) -> AnswerTable:
        """What calibrated scores decide [rows, labels]: one label for each row, or any number under `threshold`."""
        if self.decision == "threshold":
            reached: AnswerTable = scores >= self.thresholds
            return reached
        return tabulate(scores.argmax(axis=1), len(self.labels))

    @property
    def scaling(self) -> list[LabelScaling]:
        """What calibration does, label by label."""
        lines = zip(self.labels, self.calibration.slopes, self.calibration.intercepts, self.thresholds, strict=True)
        return [
            LabelScaling(label=label, slope=float(slope), intercept=float(intercept), threshold=float(threshold))
            for label, slope, intercept, threshold in lines
        ]


def recompose(
    parts: Sequence[ModulePart],
    validation: LabelledRows,
    scaling: Scaling,
    decision: Decision,
    *,
    checkpoint: Checkpoint = unwatched,
) -> Recomposition:
    """The parts as one classifier, calibrated on the validation examples of their labels.

    Raises NotEnoughSamples where a label has none, and what `labels_of` raises.
    """
    labels = labels_of(parts)
    rows = validation.among(labels)
    if missing := sorted(set(labels) - set(rows.labels)):
        raise NotEnoughSamples(
            f"The validation split has no example of {', '.join(map(repr, missing))}, by which to calibrate.",
            hint="Name a dataset with examples of every module's concern.",
            pointer="/dataset",
        )
    raw, truth = scores_of(parts, rows.inputs, checkpoint=checkpoint), rows.ids(labels)
    calibration = calibrate(raw, truth, scaling)
    calibrated = calibration(raw)
    thresholds = np.array([_threshold(calibrated[:, column], truth == column) for column in range(len(labels))])
    return Recomposition(parts, labels, calibration, decision, thresholds, cross_validated(raw, truth))


def _threshold(scores: ConcernScores, members: npt.NDArray[np.bool_]) -> float:
    """The threshold with the best F1, and a hair below it, so that a graph's float32 decides as float64 does here."""
    threshold = best_threshold(scores, members)
    return threshold - _HAIR * max(1.0, abs(threshold))


_HAIR = 1e-5
