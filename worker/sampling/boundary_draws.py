"""Which samples are made of which crossing, and at which ε: just before the boundary, or just behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from microlith.contract import Boundary
from worker.sampling.boundary_crossings import Crossing, epsilon
from worker.sampling.boundary_plan import BoundaryPlan


@dataclass(frozen=True)
class Draw:
    """One sample to make of a crossing."""

    crossing: Crossing
    positive: bool  # before the boundary: still the source; otherwise behind it: now the target
    epsilon: float

    def scanned(self, boundary: Boundary) -> float:
        """The nearest ε that the scan itself has seen on this side of the boundary."""
        return epsilon(earliest(self.crossing, positive=self.positive) + self.positive, boundary)


def serves(crossing: Crossing, *, positive: bool) -> bool:
    """Whether samples of that side can be drawn from a crossing: positives need two steps before the boundary."""
    if positive:
        return crossing.left is not None and crossing.left >= 2
    return crossing.reached is not None


def earliest(crossing: Crossing, *, positive: bool) -> int:
    """The step that the ε of samples begin at, one step wide: [left − 2, left − 1] or [reached, reached + 1]."""
    step = crossing.left if positive else crossing.reached
    if step is None:
        raise ValueError("nothing can be drawn from a crossing that was not found")
    return step - 2 if positive else step


def even_draws(crossings: Sequence[Crossing], classes: int, plan: BoundaryPlan) -> list[Draw]:
    """`per_class` positives of every source, then as many negatives of every target, evenly over their crossings.

    ε is uniform over its step. Crossings go round, so that the first samples of a class come of as many starts and
    classes as there are. A class without crossings gives none.
    """
    rng, step = np.random.default_rng(plan.seed), plan.boundary.step
    drawn = []
    for positive in (True, False):
        for label in range(classes):
            own = [c for c in crossings if label == (c.start.source if positive else c.target)]
            able = [crossing for crossing in own if serves(crossing, positive=positive)]
            for crossing in islice(cycle(able), plan.per_class):
                begin = epsilon(earliest(crossing, positive=positive), plan.boundary)
                drawn.append(Draw(crossing, positive, begin + step * rng.random()))
    return drawn
