"""What the owner of a data set should be told of it before a job runs, and beside its results: nothing here refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from app.sources.short_texts import shorten
from microlith.contract import JobSpec

FIRST_ROWS = 5
"""Of which the numbers are told."""

_SECOND_TEXT = re.compile(
    r"hypothesis|premise|question|answer|context|passage|document|query|response|reply"
    r"|(text|sentence|question|sent|q|s|t)_?(2|b|two)|(second|other)_?(text|sentence)|text_pair|pair",
    re.IGNORECASE,
)


def blank_texts(role: str, count: int, first: Sequence[int], *, pairs: bool = False) -> list[str]:
    """That texts of a split are empty, with the numbers of the `first` rows, counted from 1; nothing where none is.

    Of pairs, that one text of them is, or both are.
    """
    if not count:
        return []
    numbers = ", ".join(str(row + 1) for row in first[:FIRST_ROWS])
    more = ", …" if count > FIRST_ROWS else ""
    texts = "1 text is empty" if count == 1 else f"{count:,} texts are empty"
    if pairs:
        texts = "1 pair has an empty text" if count == 1 else f"{count:,} pairs have an empty text"
    return [f"{texts} in the {role} split (rows {numbers}{more}): answered and measured all the same."]


def same_rows(files: Mapping[str, Sequence[object]]) -> list[str]:
    """That one part of the data plays several roles."""
    roles_by_files: dict[tuple[object, ...], list[str]] = {}
    for role, shards in files.items():
        roles_by_files.setdefault(tuple(shards), []).append(role)
    return [_same(roles) for roles in roles_by_files.values() if len(roles) > 1]


def one_split_twice(spec: JobSpec) -> list[str]:
    """That a job measures on the split that it samples from."""
    sampling = spec.sampling
    sampled = sampling.boundary.split if sampling.source == "boundary" else sampling.split
    if sampled != spec.evaluation.split:
        return []
    return [f"Modules are measured on the {sampled} split, which calibrates them too: the scores flatter."]


def second_text(columns: Iterable[str], read: str, label: str) -> list[str]:
    """That there is a column of second texts, which is not read."""
    others = [name for name in columns if name not in (read, label) and _SECOND_TEXT.fullmatch(name)]
    if not others:
        return []
    return [
        f"The data has a second column of texts, {shorten(others[0])}, which is not read: `text_pair_column` may name "
        f"it. A model of pairs of texts is measured on {shorten(read)} alone without."
    ]


def _same(roles: Sequence[str]) -> str:
    named = f"{', '.join(roles[:-1])} and {roles[-1]}"
    flatter = "what calibrates is also what measures, so the scores flatter" if "train" in roles else "so scores repeat"
    return f"The {named} splits are the same rows: {flatter}. Give a file for each."
