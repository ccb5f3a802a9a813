"""Labels of rows that may have several, or none: listed in one column, or a column of 0 and 1 for each label.

A list is one of Arrow, or a text: JSON (`["a", "b"]`, `[0, 3]`, `[]` for none) or names with `|` between them. Numbers
are ids, or 0 and 1 for each label in turn where they say one of the two more than once, which no ids do. What can be
read two ways is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.column_kinds import is_list
from app.sources.label_values import check_names, whole_numbers
from app.sources.short_texts import list_first, quote, shorten
from app.sources.size_limits import POINTER

SEPARATOR = "|"
FORMS = f'Write a JSON list (["a", "b"], [] for none), or names with {SEPARATOR} between them.'

_LISTS = pa.list_(pa.large_string())
_SAID = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


@dataclass(frozen=True)
class Several:
    """That rows may have several labels: in `columns`, one for each label, or without them in one column of lists.

    `classes` is how many labels the model has, where there is a model, and `separated` whether none of them has a `|`.
    """

    columns: tuple[str, ...] = ()
    classes: int | None = None
    separated: bool = True


def lists_of(file: Path, name: str, column: pa.Array, names: list[str] | None, several: Several) -> pa.Array:
    """The labels of each row as a list of strings; a row without a value stays null.

    `names` are what the data calls its ids. Raises DatasetInvalid for what is no list of labels, or fits two ways.
    """
    if isinstance(column.type, pa.DictionaryType):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = whole_numbers(name, column)
    reader = _ListReader(file.name, name, names, several)
    read = reader.values if is_list(column.type) else reader.value
    listed = pa.array([None if value is None else read(value) for value in column.to_pylist()], _LISTS)
    check_names(file, listed.flatten())
    return listed


def lists_of_columns(file: Path, columns: Mapping[str, pa.Array]) -> pa.Array:
    """The names of the columns that say 1, or true, for each row; null where one of them says nothing.

    Raises DatasetInvalid for any other value than 0 and 1.
    """
    said = [_said(file.name, name, column) for name, column in columns.items()]
    rows = [
        None if None in row else [name for name, has in zip(columns, row, strict=True) if has]
        for row in zip(*said, strict=True)
    ]
    return pa.array(rows, _LISTS)


def together(labels: pa.Array) -> pa.Array:
    """The labels of each row as one text, in their order; a row without a value stays null."""
    return pa.array([None if own is None else json.dumps(own) for own in labels.to_pylist()], pa.large_string())


def apart(text: str) -> list[str]:
    """The labels of a row that `together` has made one text."""
    labels: list[str] = json.loads(text)
    return labels


def flat(labels: Sequence[str] | Sequence[Sequence[str]]) -> list[str]:
    """Every label of every row, each of which has one or a list."""
    return [label for own in labels for label in ([own] if isinstance(own, str) else own)]


@dataclass(frozen=True)
class _ListReader:
    """Reads the lists of one column; an id is called what `names` call it, or by its digits."""

    file: str
    column: str
    names: Sequence[str] | None
    several: Several

    def value(self, value: str | int) -> list[str]:
        """A text that lists labels, or one id alone."""
        if not isinstance(value, str):
            return self.values([value])
        if value.lstrip().startswith("["):
            return self._json(value)
        if SEPARATOR in value and not self.several.separated:
            self._refuse(value, f"names with {SEPARATOR} between them, or with {SEPARATOR} in them as the model's")
        parts = [part.strip() for part in value.split(SEPARATOR)]
        return self.values(parts) if all(parts) else self._refuse(value, "a list in which a label is empty")

    def values(self, values: Sequence[Any]) -> list[str]:
        """The labels of a list: names or ids as they are, or those that it says 1 of."""
        if all(isinstance(value, str) for value in values):
            labels = list(values)
        elif not all(isinstance(value, int | float) and value == int(value) for value in values):
            self._refuse(values, "neither names nor whole numbers")
        else:
            numbers = [int(value) for value in values]
            each = self._says_each(values, numbers)
            labels = [self._called(n) for n in (_places(numbers) if each else numbers)]
        return labels if len(set(labels)) == len(labels) else self._refuse(values, "a list with a label twice")

    def _json(self, text: str) -> list[str]:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            self._refuse(text, "no JSON list")
        return self.values(values)

    def _says_each(self, values: Sequence[Any], numbers: Sequence[int]) -> bool:
        """Whether numbers are 0 and 1 for each label in turn."""
        if not set(numbers) <= {0, 1}:
            return False
        classes = self.several.classes
        if isinstance(values[0], bool) or len(set(numbers)) < len(numbers):
            if classes not in (None, len(numbers)):
                self._refuse(values, f"{len(numbers)} values of 0 and 1, and the model has {classes} labels")
            return True
        if len(numbers) == classes:
            self._refuse(values, "two ids, or 0 and 1 for the model's two labels")
        return False

    def _called(self, number: int) -> str:
        return self.names[number] if self.names and 0 <= number < len(self.names) else str(number)

    def _refuse(self, value: object, what: str) -> NoReturn:
        raise DatasetInvalid(
            f"The labels {quote(str(value))} in column {shorten(self.column)} of {self.file} are {what}.",
            hint=FORMS,
            pointer=f"{POINTER}/label_column",
        )


def _places(said: Sequence[int]) -> list[int]:
    return [place for place, has in enumerate(said) if has]


def _said(file: str, name: str, column: pa.Array) -> list[bool | None]:
    """What each row says in a column of 0 and 1; None where it says nothing."""
    values = [None if value is None else str(value).strip().casefold() for value in column.to_pylist()]
    strange = sorted({value for value in values if value is not None and value not in _SAID})
    if strange:
        raise DatasetInvalid(
            f"Column {shorten(name)} of {file} has other values than 0 and 1: {list_first(strange, quote, most=5)}.",
            hint="Each of the `label_columns` says 0 or 1, or false or true, in every row. Leave unlabelled rows out.",
            pointer=f"{POINTER}/label_columns",
        )
    return [None if value is None else _SAID[value] for value in values]
