"""What a part of the benchmark hands to the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number; `target` is what it must reach (or, `at_most`, stay under), None where it only informs."""

    what: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is; True where there is none."""
        if self.target is None:
            return True
        return self.value <= self.target if self.at_most else self.value >= self.target


@dataclass(frozen=True)
class Table:
    """Cells as they are printed."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Part:
    """One part of the report: what was measured, how, and all that it told."""

    name: str
    title: str
    how: str
    figures: Sequence[Figure]
    tables: Sequence[Table] = ()


def middle(seconds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of every phase over several runs."""
    return {phase: median(run[phase] for run in seconds) for phase in seconds[0]}


def phases(seconds: dict[str, float]) -> list[str]:
    """Seconds by phase, as a row of a table that ends with their sum."""
    return [f"{value:.2f}" for value in (*seconds.values(), sum(seconds.values()))]
