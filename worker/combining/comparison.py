"""Two classifiers on the same examples: F1 and accuracy, their difference, and how sure each is.

A paired bootstrap of examples (Efron and Tibshirani 1993): both classifiers meet the same resamples, so that what is
hard for both does not blur the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from microlith.contract.combine import Bootstrap, Compared, Interval
from worker.combining.scores import Places

AnswerTable = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

_CELLS = 2**23
"""Counts of drawn examples that are held at once, 4 bytes each."""


@dataclass(frozen=True)
class Measured:
    """The measures of one resample or of many: F1 [..., labels], its mean [...] and accuracy [...]."""

    f1: Values
    macro_f1: Values
    accuracy: Values

    def __sub__(self, other: Measured) -> Measured:
        return Measured(self.f1 - other.f1, self.macro_f1 - other.macro_f1, self.accuracy - other.accuracy)


@dataclass(frozen=True)
class ComparedMeasures:
    """Each measure of both classifiers and of their difference; `f1` by label."""

    f1: list[Compared]
    macro_f1: Compared
    accuracy: Compared


def tabulate(places: Places, labels: int) -> AnswerTable:
    """One answer for each row as a table [rows, labels]."""
    table: AnswerTable = places[:, None] == np.arange(labels)
    return table


def compare(combined: AnswerTable, reference: AnswerTable, truth: Places, how: Bootstrap) -> ComparedMeasures:
    """Both classifiers' answers [rows, labels] against the true places [rows].

    An answer is right as a whole where it is the true label and no other. F1 is 0 where a resample has no example and
    no answer of a label.
    """
    truths = tabulate(truth, combined.shape[1])
    pair = [_evidence(answers, truths) for answers in (combined, reference)]
    whole = [_measure(np.ones((1, len(truth)), np.float32), evidence) for evidence in pair]
    drawn: list[list[Measured]] = [[], []]
    for counts in _resamples(len(truth), how):
        for measures, evidence in zip(drawn, pair, strict=True):
            measures.append(_measure(counts, evidence))
    again = [_join(measures) for measures in drawn]
    values, spreads = [*whole, whole[0] - whole[1]], [*again, again[0] - again[1]]
    return ComparedMeasures(
        f1=[
            _compared([v.f1[:, label] for v in values], [s.f1[:, label] for s in spreads], how)
            for label in range(combined.shape[1])
        ],
        macro_f1=_compared([v.macro_f1 for v in values], [s.macro_f1 for s in spreads], how),
        accuracy=_compared([v.accuracy for v in values], [s.accuracy for s in spreads], how),
    )


def _evidence(answers: AnswerTable, truths: AnswerTable) -> npt.NDArray[np.float32]:
    """What each row counts for [rows, 2 · labels + 1]: hits, answers plus truths of each label, and all right."""
    right = (answers == truths).all(axis=1, keepdims=True)
    return np.concatenate([answers & truths, answers.astype(np.int8) + truths, right], axis=1).astype(np.float32)


def _measure(counts: npt.NDArray[np.float32], evidence: npt.NDArray[np.float32]) -> Measured:
    """The measures where row r counts as often as `counts` [resamples, rows] says: F1 = 2·hits / (answers + truths)."""
    totals = (counts @ evidence).astype(np.float64)  # [resamples, 2 · labels + 1]
    labels = evidence.shape[1] // 2
    hits, sizes = totals[:, :labels], totals[:, labels : 2 * labels]
    f1 = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    return Measured(f1, f1.mean(axis=1), totals[:, -1] / counts.sum(axis=1))


def _resamples(rows: int, how: Bootstrap) -> Iterator[npt.NDArray[np.float32]]:
    """How often each row was drawn [resamples, rows], some resamples at a time."""
    rng = np.random.default_rng(how.seed)
    at_once = max(1, _CELLS // rows)
    for start in range(0, how.resamples, at_once):
        count = min(at_once, how.resamples - start)
        places = rng.integers(rows, size=(count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(places.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)


def _join(measures: list[Measured]) -> Measured:
    return Measured(
        *(np.concatenate([getattr(one, name) for one in measures]) for name in ("f1", "macro_f1", "accuracy"))
    )


def _compared(values: list[Values], spreads: list[Values], how: Bootstrap) -> Compared:
    tail = (1 - how.confidence) / 2
    intervals = []
    for value, spread in zip(values, spreads, strict=True):
        low, high = np.quantile(spread, [tail, 1 - tail])
        intervals.append(Interval(value=float(value[0]), low=float(low), high=float(high)))
    return Compared(combined=intervals[0], reference=intervals[1], difference=intervals[2])
