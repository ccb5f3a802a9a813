"""A chart's data as a table: what its CSV holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microlith.display.csv_cells import Cell, table


@dataclass(frozen=True)
class Sheet:
    """Columns and rows; a number is written in full, None as nothing."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def csv(self) -> str:
        """The table as text; a name that a spreadsheet would run has an apostrophe in front."""
        return table([self.columns, *self.rows])
