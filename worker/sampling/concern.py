"""Which examples calibrate a concern: some of it (positive), and as many spread evenly over the rest (negative)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.errors import NotEnoughSamples
from microlith.contract import Sampling

Labels = npt.NDArray[np.int64]

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
    labels: Labels, concern: int | None, classes: int, sampling: Sampling, *, scan: int = SCAN
) -> ConcernSamples:
    """`per_concern` rows of the concern and as many of the rest, the same for the same labels and sampling.

    The rest is spread evenly over the other classes, what does not divide going one each to the lowest ids. Within a
    class the first found are taken. The order is that of finding, in windows of `scan` rows, class by class inside a
    window. Order `random` looks through the split shuffled by the seed. Raises NotEnoughSamples.
    """
    wanted = quotas(concern, classes, sampling.per_concern)
    found = np.bincount(labels, minlength=classes)
    short = [label for label, quota in wanted.items() if found[label] < quota]
    if short or not wanted:
        raise _not_enough(concern, {label: (int(found[label]), wanted[label]) for label in short}, sampling)
    return _take(labels, concern, wanted, _order(len(labels), sampling), scan)


def draw_available(
    labels: Labels, concern: int, classes: int, sampling: Sampling, *, scan: int = SCAN
) -> ConcernSamples:
    """As `draw_samples`, but a class with too few rows gives all it has: for measures that bear with fewer."""
    wanted = quotas(concern, classes, sampling.per_concern)
    return _take(labels, concern, wanted, _order(len(labels), sampling), scan)


def rows_of(samples: Mapping[int, ConcernSamples]) -> set[int]:
    """Every row that some concern's samples name."""
    return {row for drawn in samples.values() for row in (*drawn.positive, *drawn.negative)}


def quotas(concern: int | None, classes: int, samples: int) -> dict[int, int]:
    """Rows needed of each class, the concern's first; empty when there is no class to set against the concern."""
    rest = [label for label in range(classes) if label != concern]
    if not rest:
        return {}
    each, left = divmod(samples, len(rest))
    spread = {label: each + (place < left) for place, label in enumerate(rest)}
    return spread if concern is None else {concern: samples, **spread}


def _order(rows: int, sampling: Sampling) -> Labels:
    if sampling.order == "random":
        return np.random.default_rng(sampling.seed).permutation(rows)
    return np.arange(rows)


def _take(labels: Labels, concern: int | None, wanted: Mapping[int, int], order: Labels, scan: int) -> ConcernSamples:
    seen = labels[order]
    places = {label: np.flatnonzero(seen == label)[:quota] for label, quota in wanted.items()}
    positive = () if concern is None else tuple(order[places.pop(concern)].tolist())
    found = sorted((place // scan, label, place) for label, taken in places.items() for place in taken.tolist())
    return ConcernSamples(positive, tuple(int(order[place]) for _, _, place in found))


def _not_enough(concern: int | None, short: Mapping[int, Sequence[int]], sampling: Sampling) -> NotEnoughSamples:
    if not short:
        return NotEnoughSamples("The model has a single class, so there is no rest to set against it.")
    subject = "the samples of all classes" if concern is None else f"concern {concern}"
    counts = "; ".join(f"class {label} has {have}, {need} are needed" for label, (have, need) in short.items())
    return NotEnoughSamples(
        f"Too few examples in split `{sampling.split}` for {subject}: {counts}.",
        hint="Ask for fewer samples with `sampling.per_concern`, or draw them from a larger split.",
        pointer="/sampling/per_concern",
    )
