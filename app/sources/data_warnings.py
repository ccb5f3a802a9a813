"""What the owner of a data set should be told of it before a job runs, and beside its results: nothing here refuses."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from app.sources.short_texts import list_first, shorten
from app.sources.splits import File
from microlith.contract import JobSpec

FIRST_ROWS = 5
"""Of which the numbers are told."""

_REMEDY = "Give a file for each, or cut one with slices or `carve`."
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
    texts = "1 text is empty" if count == 1 else f"{count:,} texts are empty"
    if pairs:
        texts = "1 pair has an empty text" if count == 1 else f"{count:,} pairs have an empty text"
    return [f"{texts} in the {role} split ({_rows(first, count)}): answered and measured all the same."]


def cut_texts(role: str, rows: Sequence[int], max_length: int, *, pairs: bool) -> list[str]:
    """That texts, or pairs, of a split are longer than the model reads."""
    if not rows:
        return []
    what = "pair" if pairs else "text"
    many = f"1 {what} of the {role} split is" if len(rows) == 1 else f"{len(rows):,} {what}s of the {role} split are"
    end = "the longer text's end is" if pairs else "the end is"
    where = _rows(rows, len(rows))
    return [f"{many} longer than the {max_length:,} tokens that the model reads ({where}): {end} cut off."]


def shared_rows(rows: Mapping[str, Mapping[File, bytes]]) -> list[str]:
    """That one row plays several roles. `rows` are masks of files, by role."""
    roles_by_rows: dict[tuple[tuple[File, bytes], ...], list[str]] = {}
    for role, files in rows.items():
        roles_by_rows.setdefault(tuple(files.items()), []).append(role)
    same = [_same(roles) for roles in roles_by_rows.values() if len(roles) > 1]
    different = [roles[0] for roles in roles_by_rows.values()]
    pairs = itertools.combinations(different, 2)
    return same + [_overlapping(pair, shared) for pair in pairs if (shared := _shared(*(rows[role] for role in pair)))]


def labels_lost(carved: Iterable[str], labels: Mapping[str, Mapping[str, int]]) -> list[str]:
    """That a split which was carved, or what is left of `train`, has no example of a label that there are some of.

    `labels` are the rows of each label, by role.
    """
    roles = [role for role in ("train", *carved) if role in labels]
    everything = sum((Counter(labels[role]) for role in roles), Counter[str]())
    warnings = []
    for role in roles:
        lost = [f"{shorten(name)} ({rows:,} in all)" for name, rows in everything.items() if not labels[role].get(name)]
        if lost and everything:
            warnings.append(f"`carve` leaves the {role} split without an example of {list_first(lost, str)}.")
    return warnings


def one_split_twice(spec: JobSpec) -> list[str]:
    """That a job measures on a split that it samples or learns from, or chooses by one that it learns from."""
    sampling = spec.sampling
    sampled = sampling.boundary.split if sampling.source == "boundary" else sampling.split
    measured, told = spec.evaluation, []
    if sampled == measured.split:
        told.append(f"Modules are measured on the {sampled} split, which calibrates them too: the scores flatter.")
    learned = spec.distil.texts if spec.recovery == "distil" else None
    if learned == measured.split:
        told.append(f"Modules are measured on the {learned} split, which they learn from too: the scores flatter.")
    if learned == measured.validation_split:
        told.append(f"The best epoch is chosen on the {learned} split, which is learned from too: the last one wins.")
    return told


def second_text(columns: Iterable[str], read: str, label: str) -> list[str]:
    """That there is a column of second texts, which is not read."""
    others = [name for name in columns if name not in (read, label) and _SECOND_TEXT.fullmatch(name)]
    if not others:
        return []
    return [
        f"The data has a second column of texts, {shorten(others[0])}, which is not read: `text_pair_column` may name "
        f"it. A model of pairs of texts is measured on {shorten(read)} alone without."
    ]


def _shared(one: Mapping[File, bytes], other: Mapping[File, bytes]) -> int:
    """How many rows both have."""
    files = one.keys() & other.keys()
    return sum((int.from_bytes(one[file]) & int.from_bytes(other[file])).bit_count() for file in files)


def _rows(first: Sequence[int], count: int) -> str:
    """The numbers of the first rows, counted from 1."""
    more = ", …" if count > FIRST_ROWS else ""
    return f"rows {', '.join(str(row + 1) for row in first[:FIRST_ROWS])}{more}"


def _same(roles: Sequence[str]) -> str:
    return f"The {_all(roles)} splits are the same rows: {_what_of_it(roles)}. {_REMEDY}"


def _overlapping(roles: Sequence[str], shared: int) -> str:
    rows = "1 row" if shared == 1 else f"{shared:,} rows"
    return f"The {_all(roles)} splits share {rows}: {_what_of_it(roles)}. {_REMEDY}"


def _all(roles: Sequence[str]) -> str:
    return f"{', '.join(roles[:-1])} and {roles[-1]}"


def _what_of_it(roles: Sequence[str]) -> str:
    flatter = "what calibrates is also what measures, so the scores flatter"
    return flatter if "train" in roles else "so scores repeat"
