"""How far the macro-F1 of two classifiers lies apart on the same examples, and how sure that is.

A paired bootstrap of examples (Efron and Tibshirani 1993): both meet the same resamples. Examples of the same true
class that both answer alike are one cell, and how often each cell is drawn is multinomial: that is the same bootstrap,
and it takes as long for a million examples as for a thousand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from microlith.contract import Interval
from worker.compute.arrays import Labels

RESAMPLES = 1000
SEED = 0
TAILS = (0.025, 0.975)

RowWeights = npt.NDArray[np.float64]


def macro_f1_change(answers: Labels, base: Labels, labels: Labels, classes: int) -> Interval:
    """Macro-F1 of `answers` less that of `base` [rows], class ids all of them; the 95 % interval, equal every time.

    F1 is 0 for a class that no example has and nobody answers, as in the report.
    """
    codes = (labels * classes + base) * classes + answers
    cells, counts = np.unique(codes, return_counts=True)
    truth, both = cells // classes**2, (cells % classes, cells // classes % classes)
    drawn = np.random.default_rng(SEED).multinomial(len(labels), counts / len(labels), size=RESAMPLES)
    weights = np.concatenate([counts[None], drawn]).astype(np.float64)  # [1 + resamples, cells], as they are first
    own, of_base = (_macro_f1(weights, truth, given, classes) for given in both)
    change = own - of_base
    low, high = np.quantile(change[1:], TAILS)
    return Interval(value=float(change[0]), low=float(low), high=float(high))


def _macro_f1(weights: RowWeights, truth: Labels, given: Labels, classes: int) -> RowWeights:
    """The mean over classes of 2 · hits / (answers + truths) [weightings]."""
    is_true, is_given = (column[:, None] == np.arange(classes) for column in (truth, given))
    hits = weights @ (is_true & is_given)  # [weightings, classes]
    sizes = weights @ (is_true.astype(np.float64) + is_given)
    f1: RowWeights = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    means: RowWeights = f1.mean(axis=1)
    return means
