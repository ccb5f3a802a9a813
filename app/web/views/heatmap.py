"""Matrices as tables whose cells are shaded in steps; the figure in each cell says the same without colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.web.views.chart_csv import Sheet

STEPS = 10


@dataclass(frozen=True)
class HeatCell:
    """`shade` is 0 to 10 of its hue; `off` marks the other hue of a matrix that has two."""

    text: str
    shade: int
    off: bool = False
    said: str = ""


@dataclass(frozen=True)
class Heat:
    """Rows and columns by name; `corner` says what they are, `sheet` has the figures themselves."""

    corner: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    sheet: Sheet


def shade(fraction: float) -> int:
    """0 for nothing, else 1 to 10."""
    return 0 if fraction <= 0 else max(1, round(STEPS * min(fraction, 1.0)))


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Heat:
    """True class by row, given class by column, shaded by the share of the row; the rest are errors."""
    rows = []
    for row, given in enumerate(counts):
        whole = sum(given) or 1
        cells = [
            HeatCell(
                str(count) if count else "",
                _error_shade(count / whole) if row != column else shade(count / whole),
                off=row != column,
                said=f"{count} of {whole} {labels[row]} predicted as {labels[column]}",
            )
            for column, count in enumerate(given)
        ]
        rows.append((labels[row], cells))
    sheet = Sheet(["true class", *labels], [[labels[row], *given] for row, given in enumerate(counts)])
    return Heat("true ↓ predicted →", labels, rows, sheet)


def _error_shade(share: float) -> int:
    """A tenth of a class lost is much: errors are shaded five times as dark as hits."""
    return shade(5 * share)


def fractions(
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[float | None]]],
    depth: Callable[[float], float],
) -> Heat:
    """Fractions as whole percents, shaded by `depth` of each; None is an empty cell."""
    shown = [
        (name, [HeatCell("", 0) if v is None else HeatCell(f"{100 * v:.0f}", shade(depth(v))) for v in values])
        for name, values in rows
    ]
    return Heat(corner, columns, shown, Sheet([corner, *columns], [[name, *values] for name, values in rows]))
