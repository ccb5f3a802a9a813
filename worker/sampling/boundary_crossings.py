"""Where the boundary is: how far each start must move towards each class before the model's answer changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from microlith.contract import Boundary
from worker.compute.arrays import Logits
from worker.sampling.embedding_classifier import EmbeddedModel, EmbeddedText

Margins = npt.NDArray[np.float32]
Margin = Callable[[Logits], Margins]

FIRST_LOOK = 16
"""Coarse points of the first batch of a scan; every further batch has twice as many as the one before."""

CAUTION = 4.0
"""How many times faster than between its coarse points an answer may be feared to change inside an interval."""


@dataclass(frozen=True)
class Start:
    """A correctly answered example that samples are moved from."""

    row: int
    source: int  # its class
    rank: int  # its place among the starts of its class: the most confident ones first, then the least
    text: EmbeddedText


@dataclass(frozen=True)
class Crossing:
    """A start on its way to a target; ε in steps, None where the scan found none."""

    start: Start
    target: int
    left: int | None  # the first step whose answer is not the source
    reached: int | None  # the first whose answer is the target; at the largest ε itself it counts as not found


def crossings(model: EmbeddedModel, start: Start, classes: int, boundary: Boundary, stride: int) -> Iterator[Crossing]:
    """The start's crossing to every other class, in the order of their ids.

    x' = x − ε·sign(g), with one gradient g of the target's loss at x, for ε = 0, step, 2·step, … ≤ max. Stride 1 looks
    at every step until the target is reached. A larger stride looks at every `stride`-th, and between two of them only
    where the answer changes or may: where the margin of the answer, falling `CAUTION` times faster than between the
    coarse points around, would be gone before the next. What it can miss is an excursion of fewer steps than the
    stride and steeper than that.
    """
    targets = [label for label in range(classes) if label != start.source]
    for target, direction in zip(targets, model.directions(start.text, targets), strict=True):
        yield _scan(_Ray(model, start.text, direction, boundary.step), start, target, last_step(boundary), stride)


def last_step(boundary: Boundary) -> int:
    """The steps to the largest ε that is tried."""
    return int(np.floor(round(boundary.max / boundary.step, 9)))


def epsilon(step: int, boundary: Boundary) -> float:
    """ε after that many steps, as the decimal number it is meant to be."""
    return round(step * boundary.step, 12)


@dataclass(frozen=True)
class _Ray:
    """The model's answers along x − ε·direction, each asked for once."""

    model: EmbeddedModel
    text: EmbeddedText
    direction: Tensor  # [t, embedding]
    length: float  # of a step
    known: dict[int, Logits] = field(default_factory=dict)

    def answers(self, steps: Sequence[int]) -> Logits:
        """Logits [steps, classes]."""
        asked = [step for step in steps if step not in self.known]
        if asked:
            moved = self.text.moved(self.direction, np.array(asked) * self.length)
            self.known.update(zip(asked, self.model.answers(moved, self.text), strict=True))
        return np.stack([self.known[step] for step in steps])


def _scan(ray: _Ray, start: Start, target: int, last: int, stride: int) -> Crossing:
    def stays(logits: Logits) -> Margins:
        return _lead(logits, start.source)

    def falls_short(logits: Logits) -> Margins:
        return -_lead(logits, target)

    left = _first(ray, 0, last, stride, stays)
    reached = None if left is None else _first(ray, left - left % stride, last, stride, falls_short)
    return Crossing(start, target, left, None if reached == last else reached)


def _lead(logits: Logits, label: int) -> Margins:
    """How far the label's logit is from the highest other one [n]: positive where the answer is the label."""
    distance = np.abs(logits[:, label] - np.delete(logits, label, axis=1).max(axis=1)) + np.finfo(np.float32).tiny
    lead: Margins = np.where(logits.argmax(axis=1) == label, distance, -distance)
    return lead


def _first(ray: _Ray, begin: int, last: int, stride: int, margin: Margin) -> int | None:
    """The first step from `begin` on whose margin is negative."""
    look = FIRST_LOOK
    while begin < last:
        end = min(begin + look * stride, last)
        coarse = [*range(begin, end, stride), end]
        doubtful = _between(coarse, margin(ray.answers(coarse)))
        steps: list[int] = sorted({*coarse, *doubtful, *(step for step in ray.known if begin <= step <= end)})
        gone = np.flatnonzero(margin(ray.answers(steps)) < 0)
        if gone.size:
            return steps[int(gone[0])]
        begin, look = end, 2 * look
    return None


def _between(coarse: Sequence[int], margins: Margins) -> list[int]:
    """The steps between coarse points up to the first that is gone, in every interval where it may be gone before."""
    gone = np.flatnonzero(margins < 0)
    ends = int(gone[0]) if gone.size else len(coarse) - 1  # intervals that matter
    slopes = np.abs(np.diff(margins))
    steepest = np.maximum(slopes, np.maximum(np.append(slopes[1:], 0), np.append(0, slopes[:-1])))
    suspicious = margins[:-1] + margins[1:] <= CAUTION * steepest
    return [
        step
        for place in range(ends)
        if suspicious[place] or (place + 1 == ends and gone.size)
        for step in range(coarse[place] + 1, coarse[place + 1])
    ]
