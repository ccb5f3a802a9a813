"""How much a data file may hold. Each bound is checked before anything of that size is made, or while it is counted."""

from __future__ import annotations

from app.domain.errors import ResourceLimit

POINTER = "/dataset"
"""Where a request names its data."""

MAX_ROWS = 20_000_000
"""Of a split."""

MAX_COLUMNS = 1_000
MAX_FIELDS = 10_000
"""Columns of a Parquet file with all that is nested in them."""

MAX_COLUMN_CHARACTERS = 500
"""Of a column's name."""

MAX_LABELS = 10_000
"""Different ones of a data set, and class names of a column."""

MAX_LABEL_CHARACTERS = 1_000
MAX_LABELS_CHARACTERS = 1_000_000
"""Of the different labels of a data set together."""

MAX_WARNINGS = 20
"""Told of a data set."""

MAX_TEXT_BYTES = 2_000_000
MAX_FOOTER_BYTES = 16_000_000
MAX_HEADER_BYTES = 1_000_000
"""Of the line of column names of a CSV file."""

BATCH_BYTES = 16_000_000
"""About as much as is in memory at once of what a file holds."""

_ANY_GROWTH_BYTES, _GROWTH = 256_000_000, 50


def most_text_bytes(size: int) -> int:
    """How much text a file of this size may come to, in bytes: text compresses tenfold, bombs a thousandfold."""
    return _ANY_GROWTH_BYTES + _GROWTH * size


def within(count: int, most: int, what: str, hint: str) -> None:
    """ResourceLimit where a file has more than `most` of something."""
    if count > most:
        raise ResourceLimit(f"{what}; the limit is {most:,}.", hint=hint, pointer=POINTER)
