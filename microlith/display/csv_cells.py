"""Tables of text for spreadsheets: what somebody called a class is never run as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

Cell = str | int | float | None

RUN = frozenset("=+-@＝＋－＠")
"""What a formula begins with; the last four are the wide forms, which some spreadsheets take for the others."""

BREAKS = frozenset("\t\r\n")
"""What some spreadsheets drop from the beginning of a cell, so that the next character comes first."""

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def table(rows: Iterable[Sequence[Cell]], *, raw: bool = False) -> str:
    """CSV that any reader takes apart into the same cells, line breaks and quotes included.

    A text that a spreadsheet would run gets an apostrophe in front, unless `raw`; a number stays one, None is nothing.
    """
    return "".join(_line(row, raw) for row in rows)


def tame(value: Cell) -> Cell:
    """The cell, with an apostrophe in front where a spreadsheet would run it."""
    if not isinstance(value, str) or NUMBER.fullmatch(value):
        return value
    return f"'{value}" if value[:1] in BREAKS or _first_shown(value) in RUN else value


def _first_shown(text: str) -> str:
    """The first character that is more than a gap: spreadsheets drop blanks, NUL and marks without a width."""
    return next((character for character in text if character.isprintable() and character != " "), "")


def _line(row: Sequence[Cell], raw: bool) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(row if raw else [tame(value) for value in row])
    return line.getvalue().removesuffix("\r\n") + "\n"  # the writer quotes only those line breaks that it writes itself
