"""Slices of splits, as `datasets` writes them: `train[:80%]`, `train[100:]`, `train[-10%:]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SLICE = re.compile(r"(?P<name>.+?)\[(?P<start>-?\d{1,12}%?)?:(?P<stop>-?\d{1,12}%?)?\]", re.DOTALL)
_WHOLE = 100


@dataclass(frozen=True)
class Slice:
    """Rows from `start` to before `stop`, in rows or in percent; a negative bound counts from the end."""

    start: int | None
    stop: int | None
    percent: bool = False

    def __str__(self) -> str:
        mark = "%" if self.percent else ""
        start, stop = ("" if bound is None else f"{bound}{mark}" for bound in (self.start, self.stop))
        return f"[{start}:{stop}]"

    def rows(self, count: int) -> range:
        """Its rows, of so many. ValueError where a bound is beyond them, or where it has none."""
        start, stop = 0, count
        if self.start is not None:
            start = self._row(self.start, count)
        if self.stop is not None:
            stop = self._row(self.stop, count)
        if start >= stop:
            raise ValueError(f"{self} of {count:,} rows has no rows")
        return range(start, stop)

    def _row(self, bound: int, count: int) -> int:
        most = _WHOLE if self.percent else count
        if abs(bound) > most:
            raise ValueError(f"{self} goes beyond the {count:,} rows that there are")
        from_start = bound if bound >= 0 else most + bound
        return round(from_start * count / _WHOLE) if self.percent else from_start


def cut_name(value: str) -> tuple[str, Slice | None]:
    """The name of a split, and the slice that stands behind it. ValueError for what ends like a slice and is none."""
    if not value.endswith("]"):
        return value, None
    found = _SLICE.fullmatch(value)
    bounds = [bound for bound in found.group("start", "stop") if bound] if found else []
    if not found or len({bound.endswith("%") for bound in bounds}) != 1:
        raise ValueError("a slice is NAME[FROM:TO] with one bound or both, in rows or in percent: train[:80%]")
    start, stop = (int(bound.rstrip("%")) if bound else None for bound in found.group("start", "stop"))
    percent = bounds[0].endswith("%")
    if percent and any(abs(bound) > _WHOLE for bound in (start, stop) if bound is not None):
        raise ValueError("the bounds of a slice are at most 100 %")
    return found["name"], Slice(start, stop, percent)
