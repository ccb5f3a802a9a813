"""A chart's data as a table: what its CSV holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

Value = str | int | float | None


@dataclass(frozen=True)
class Sheet:
    """Columns and rows; a number is written in full, None as nothing."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def csv(self) -> str:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return table.getvalue()
