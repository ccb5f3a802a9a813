"""Where values lie on a strip: percent of its width, and the round figures worth a mark."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """From `low` at 0 % to `high` at 100 %."""

    low: float
    high: float
    step: float

    @classmethod
    def of_fractions(cls, values: Iterable[float], *, least: float = 0.02, steps: int = 4) -> Scale:
        """With round ends just outside the values, `least` apart at the least, and nothing above 1."""
        fractions = list(values) or [0.0]
        low, high = min(fractions), max(fractions)
        step = _round_step(max(high - low, least) / steps)
        width, whole = math.ceil(least / step - 1e-9), round(1 / step)
        first = min(math.floor(low / step), whole - width)
        last = min(max(math.ceil(high / step + 1e-9), first + width), whole)
        return cls(first * step, last * step, step)

    @classmethod
    def about_zero(cls, values: Iterable[float], *, least: float = 0.01) -> Scale:
        """As far below zero as above."""
        reach = max([abs(value) for value in values] or [0.0])
        step = _round_step(max(reach, least) / 2)
        end = math.ceil(max(reach, least) / step - 1e-9) * step
        return cls(-end, end, step)

    def at(self, value: float) -> float:
        """Percent of the width, at most at either end."""
        return round(100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0), 2)

    @property
    def ticks(self) -> list[Tick]:
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        count = round((self.high - self.low) / self.step)
        values = [self.low + number * self.step for number in range(count + 1)]
        return [Tick(self.at(value), f"{value:.{digits}f}".replace("-", "−")) for value in values]


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
