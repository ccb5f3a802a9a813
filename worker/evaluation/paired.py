"""How far the macro-F1 of two classifiers lies apart on the same examples, and how sure that is.

A paired bootstrap of examples (Efron and Tibshirani 1993): both meet the same resamples. Examples of the same true
class that both answer alike are one cell, and how often each cell is drawn is multinomial: that is the same bootstrap,
and of one class each it takes as long for a million examples as for a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from microlith.contract import Interval
from worker.compute.arrays import Labels, Truth
from worker.evaluation.binary import Members

RESAMPLES = 1000
SEED = 0
TAILS = (0.025, 0.975)

_DRAWN = 2**24
"""Counts of drawn cells that are held at once, 8 bytes each."""

RowWeights = npt.NDArray[np.float64]


def macro_f1_change(answers: Truth, base: Truth, truth: Truth, classes: int) -> Interval:
    """Macro-F1 of `answers` less that of `base`, class ids or labels all of them; the 95 % interval, equal every time.

    F1 is 0 for a class that no example has and nobody answers, as in the report.
    """
    cells = _cells(answers, base, truth, classes)
    random, counts = np.random.default_rng(SEED), cells.counts
    rows, at_once = int(counts.sum()), max(1, _DRAWN // len(counts))
    changes = [cells.change(counts[None].astype(np.float64))]
    for start in range(0, RESAMPLES, at_once):
        drawn = random.multinomial(rows, counts / rows, size=min(at_once, RESAMPLES - start))
        changes.append(cells.change(drawn.astype(np.float64)))
    low, high = np.quantile(np.concatenate(changes[1:]), TAILS)
    return Interval(value=float(changes[0][0]), low=float(low), high=float(high))


@dataclass(frozen=True)
class _Cells:
    """Examples that are alike: how many of each there are, what is so of them and what both answer [cells, classes]."""

    counts: Labels
    truth: Members
    own: Members
    base: Members

    def change(self, weights: RowWeights) -> RowWeights:
        """Macro-F1 of one less that of the other [weightings], by the weights of the cells [weightings, cells]."""
        return _macro_f1(weights, self.truth, self.own) - _macro_f1(weights, self.truth, self.base)


def _cells(answers: Truth, base: Truth, truth: Truth, classes: int) -> _Cells:
    if truth.ndim == 2:
        alike, counts = np.unique(np.concatenate([truth, answers, base], axis=1), axis=0, return_counts=True)
        return _Cells(counts, *np.split(alike, 3, axis=1))
    codes, counts = np.unique((truth * classes + base) * classes + answers, return_counts=True)
    ids = (codes // classes**2, codes % classes, codes // classes % classes)
    return _Cells(counts, *(column[:, None] == np.arange(classes) for column in ids))


def _macro_f1(weights: RowWeights, is_true: Members, is_given: Members) -> RowWeights:
    """The mean over classes of 2 · hits / (answers + truths) [weightings]."""
    hits = weights @ (is_true & is_given)  # [weightings, classes]
    sizes = weights @ (is_true.astype(np.float64) + is_given)
    f1: RowWeights = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    means: RowWeights = f1.mean(axis=1)
    return means
