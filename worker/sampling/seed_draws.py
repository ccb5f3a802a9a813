"""The seed system's own draws at the boundary, number by number; only for reproducing it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.sampling.boundary_crossings import Crossing, epsilon
from worker.sampling.boundary_draws import Draw, earliest, serves
from worker.sampling.boundary_plan import BoundaryPlan


def seed_draws(crossings: Sequence[Crossing], classes: int, plan: BoundaryPlan) -> list[Draw]:
    """`per_class · classes` positives, then as many negatives, whatever the class.

    Every crossing of a rank gives the rank's share, rounded. What is too much goes by lot. What is missing comes by
    lot, negatives too from two steps before their ε, where the answer need not be the target yet.
    """
    rng = random.Random(plan.seed)
    ranks = plan.boundary.top + plan.boundary.bottom
    positives, negatives = (_Side.of(crossings, ranks, positive=positive) for positive in (True, False))
    needed = plan.per_class * classes
    for rank in range(ranks):
        for side in (positives, negatives):
            side.share(rank, round(needed / ranks), plan, rng)
    for side in (positives, negatives):
        side.trim(needed, rng)
        side.fill(needed, plan, rng)
    return positives.drawn + negatives.drawn


@dataclass(frozen=True)
class _Side:
    """Positives or negatives: the crossings they can be made of, by rank, and the draws so far."""

    positive: bool
    tables: list[list[Crossing]]
    drawn: list[Draw] = field(default_factory=list)

    @classmethod
    def of(cls, crossings: Sequence[Crossing], ranks: int, *, positive: bool) -> _Side:
        """Nothing drawn yet."""
        able = [crossing for crossing in crossings if serves(crossing, positive=positive)]
        return cls(positive, [[c for c in able if c.start.rank == rank] for rank in range(ranks)])

    def share(self, rank: int, samples: int, plan: BoundaryPlan, rng: random.Random) -> None:
        """The samples of a rank, spread over its crossings and rounded."""
        table = self.tables[rank]
        each = round(samples / len(table)) if table else 0
        for crossing in table:
            for _ in range(each):
                self._draw(crossing, earliest(crossing, positive=self.positive), plan, rng)

    def trim(self, needed: int, rng: random.Random) -> None:
        """Removes by lot what is too much."""
        while len(self.drawn) > needed:
            self.drawn.pop(rng.randint(0, len(self.drawn) - 1))

    def fill(self, needed: int, plan: BoundaryPlan, rng: random.Random) -> None:
        """Draws what is missing by lot; a lot that falls on a rank without crossings draws nothing."""
        for _ in range(needed - len(self.drawn)):
            if table := self.tables[rng.randint(0, len(self.tables) - 1)]:
                crossing = rng.choice(table)
                step = crossing.left if self.positive else crossing.reached
                self._draw(crossing, (step or 0) - 2, plan, rng)

    def _draw(self, crossing: Crossing, begin: int, plan: BoundaryPlan, rng: random.Random) -> None:
        step = plan.boundary.step
        spot = epsilon(begin, plan.boundary)
        self.drawn.append(Draw(crossing, self.positive, rng.uniform(spot, spot + step)))
