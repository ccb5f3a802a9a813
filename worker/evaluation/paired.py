"""How far the macro-F1 of two classifiers lies apart on the same examples, and how sure that is.

A paired bootstrap of examples (Efron and Tibshirani 1993): both meet the same resamples. Examples of the same truth
that both answer alike are one cell, and how often each cell is drawn is multinomial: that is the same bootstrap,
and it takes as long for a million examples as for a thousand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from microlith.contract import Interval
from worker.compute.arrays import Truth

RESAMPLES = 1000
SEED = 0
TAILS = (0.025, 0.975)

DRAWN_CELLS = 2**24
"""Weights that are held at once, 8 bytes each: rows of many labels are hardly ever alike."""

RowWeights = npt.NDArray[np.float64]


def macro_f1_change(answers: Truth, base: Truth, labels: Truth, classes: int) -> Interval:
    """Macro-F1 of `answers` less that of `base`, and the 95 % interval, which is equal every time.

    Class ids [rows], or tables [rows, classes] of what is true of each row. F1 is 0 for a class that no example has
    and nobody answers, as in the report.
    """
    given = np.stack([labels, base, answers], axis=1).reshape(len(labels), -1)
    cells, counts = np.unique(given, axis=0, return_counts=True)
    tables = cells.reshape(len(cells), 3, -1).swapaxes(0, 1)  # [3, cells, 1] of ids, or [3, cells, classes]
    truth, of_base, own = tables if labels.ndim == 2 else tables == np.arange(classes)
    random, at_once = np.random.default_rng(SEED), max(1, DRAWN_CELLS // len(cells))
    changes = []
    for start in range(0, RESAMPLES, at_once):
        drawn = random.multinomial(len(labels), counts / len(labels), size=min(at_once, RESAMPLES - start))
        weights = np.concatenate([counts[None], drawn]).astype(np.float64)  # [1 + resamples, cells], as they are first
        changes.append(_macro_f1(weights, truth, own) - _macro_f1(weights, truth, of_base))
    low, high = np.quantile(np.concatenate([change[1:] for change in changes]), TAILS)
    return Interval(value=float(changes[0][0]), low=float(low), high=float(high))


def _macro_f1(weights: RowWeights, truth: Truth, given: Truth) -> RowWeights:
    """The mean over classes of 2 · hits / (answers + truths) [weightings]; both tables are [cells, classes]."""
    hits = weights @ (truth * given)  # [weightings, classes]
    sizes = weights @ (truth.astype(np.float64) + given)
    f1: RowWeights = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    means: RowWeights = f1.mean(axis=1)
    return means
