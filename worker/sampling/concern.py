"""Which examples calibrate a concern: some of it (positive), and as many spread over the rest (negative)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.domain.errors import NotEnoughSamples
from microlith.contract import Sampling
from worker.compute.arrays import Labels, Rows, Truth
from worker.sampling.class_shares import proportional, spread
from worker.sampling.confusers import Confusion, confusers

SCAN = 16
"""Rows looked at together: within such a window samples are taken class by class, as the seed system does."""


@dataclass(frozen=True)
class ConcernSamples:
    """Row indices of a split. Both lists are equally long, so that the k-th of one pairs with the k-th of the other.

    Samples of all classes together (no concern) are `negative` alone.
    """

    positive: tuple[int, ...]
    negative: tuple[int, ...]


def draw_samples(
    labels: Truth,
    concern: int | None,
    classes: int,
    sampling: Sampling,
    *,
    confusion: Confusion | None = None,
    scan: int = SCAN,
) -> ConcernSamples:
    """`per_concern` rows of the concern and as many of the rest, the same for the same labels and sampling.

    The rest is spread evenly over the other classes, what does not divide going one each to the lowest ids; what a
    class cannot give, the others do. Negatives `confusers` share it out in proportion to `confusion` [true, predicted]
    instead, which they need. Within a class the first found are taken. The order is that of finding, in windows of
    `scan` rows, class by class inside a window. Order `random` looks through the split shuffled by the seed. Of rows
    that have several labels, those that have the concern are of it, and each of the rest is of its rarest label, or of
    none, which counts as one class more. Raises NotEnoughSamples.
    """
    if concern is not None and sampling.negatives == "confusers" and confusion is None:
        raise ValueError("negatives `confusers` are drawn from the base's confusion matrix, and there is none")
    drawn = draw_available(labels, concern, classes, sampling, confusion=confusion, scan=scan)
    needed = sampling.per_concern
    if concern is not None and len(drawn.positive) < needed:
        raise _not_enough(f"class {concern}", len(drawn.positive), sampling)
    if len(drawn.negative) < needed:
        raise _not_enough("the rest" if concern is not None else "all classes", len(drawn.negative), sampling)
    return drawn


def draw_available(
    labels: Truth,
    concern: int | None,
    classes: int,
    sampling: Sampling,
    *,
    confusion: Confusion | None = None,
    scan: int = SCAN,
) -> ConcernSamples:
    """As `draw_samples`, but with what there is where there is too little: for measures that bear with fewer.

    Without a confusion matrix the rest is spread evenly.
    """
    if labels.ndim == 2:
        labels, classes = _by_rarest(labels, concern), classes + 1
    available = np.bincount(labels, minlength=classes)
    rest = {label: int(available[label]) for label in range(classes) if label != concern}
    if concern is not None and sampling.negatives == "confusers" and confusion is not None:
        quotas = proportional(sampling.per_concern, rest, confusers(confusion, concern))
    else:
        quotas = spread(sampling.per_concern, rest)
    if concern is not None:
        quotas[concern] = sampling.per_concern
    return _take(labels, concern, quotas, _order(labels, sampling), scan)


def draw_pooled(labels: Truth, classes: int, sampling: Sampling, per_class: int) -> tuple[int, ...]:
    """The first `per_class` rows of every class in the order of the sampling, or what there is; whatever concern.

    A row of several labels counts for its rarest.
    """
    if labels.ndim == 2:
        labels, classes = _by_rarest(labels, None), classes + 1
    quotas = dict.fromkeys(range(classes), per_class)
    return _take(labels, None, quotas, _order(labels, sampling), SCAN).negative


def rows_of(samples: Mapping[int, ConcernSamples]) -> set[int]:
    """Every row that some concern's samples name."""
    return {row for drawn in samples.values() for row in (*drawn.positive, *drawn.negative)}


def _by_rarest(has: Truth, concern: int | None) -> Labels:
    """One class for each row that has these labels [rows, labels]: the concern, its rarest label, or one beyond all."""
    rarest_first = np.argsort(has.sum(axis=0), kind="stable")
    ordered = has[:, rarest_first]
    rarest: Labels = np.where(ordered.any(axis=1), rarest_first[ordered.argmax(axis=1)], has.shape[1])
    return rarest if concern is None else np.where(has[:, concern], concern, rarest)


def _order(labels: Truth, sampling: Sampling) -> Rows:
    if sampling.order == "random":
        return np.random.default_rng(sampling.seed).permutation(len(labels))
    return np.arange(len(labels))


def _take(labels: Truth, concern: int | None, quotas: Mapping[int, int], order: Rows, scan: int) -> ConcernSamples:
    seen = labels[order]
    places = {label: np.flatnonzero(seen == label)[:quota] for label, quota in quotas.items()}
    positive = () if concern is None else tuple(order[places.pop(concern)].tolist())
    ranked = sorted((place // scan, label, place) for label, taken in places.items() for place in taken.tolist())
    return ConcernSamples(positive, tuple(int(order[place]) for _, _, place in ranked))


def _not_enough(whose: str, available: int, sampling: Sampling) -> NotEnoughSamples:
    return NotEnoughSamples(
        f"Too few examples in split `{sampling.split}`: {available} of {whose}, {sampling.per_concern} are needed.",
        hint="Ask for fewer samples with `sampling.per_concern`, or draw them from a larger split.",
        pointer="/sampling/per_concern",
    )
