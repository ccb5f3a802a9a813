"""The classes of a model: what its config calls them, held against its weights before a list of them is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import ResourceLimit, UnsupportedModel
from app.sources.json_file import is_count, storable
from app.sources.short_texts import quote

MAX_LABELS = 10_000
MAX_LABEL = 1_000
MAX_LABEL_CHARACTERS = 1_000_000
"""Of all labels of a model together: every job of it carries them."""

_HEADS = ("classifier", "classifier.out_proj", "score")


def labels_of(config: Mapping[str, Any], linear: Mapping[str, tuple[int, int]], *, pointer: str) -> list[str]:
    """Label names in the order of class ids; `LABEL_n` where the config names none. At least two, all different.

    `linear` are the model's layers: as many labels as its classifier has outputs. Raises UnsupportedModel, and
    ResourceLimit for more or longer labels than there may be.
    """
    names = config.get("id2label")
    count = _count(names or None, config, pointer)
    _check_count(count, linear, pointer)
    if not names:
        return [f"LABEL_{n}" for n in range(count)]
    try:
        labels = [_label(n, names[str(n)], pointer) for n in range(count)]
    except (KeyError, TypeError) as error:
        raise UnsupportedModel("id2label does not name the classes 0 to n-1.", pointer=pointer) from error
    if sum(map(len, labels)) > MAX_LABEL_CHARACTERS:
        raise ResourceLimit(f"The labels have more than {MAX_LABEL_CHARACTERS:,} characters.", pointer=pointer)
    if len(set(labels)) != len(labels):
        raise UnsupportedModel("Two classes of the model have the same label.", pointer=pointer)
    return labels


def _count(names: object, config: Mapping[str, Any], pointer: str) -> int:
    """How many labels the config names, or says that there are; transformers leaves out what equals its default."""
    if names is not None and not isinstance(names, dict):
        raise UnsupportedModel("id2label does not name the classes 0 to n-1.", pointer=pointer)
    count = len(names) if names is not None else config.get("num_labels", 2)
    if not is_count(count):
        raise UnsupportedModel(f"num_labels is {quote(count)}, which is not a valid count.", pointer=pointer)
    return int(count)


def _check_count(count: int, linear: Mapping[str, tuple[int, int]], pointer: str) -> None:
    if count < 2:
        raise UnsupportedModel("The model has fewer than two labels, so there is nothing to separate.", pointer=pointer)
    outputs = next((linear[name][0] for name in _HEADS if name in linear), None)
    if outputs is not None and outputs != count:
        raise UnsupportedModel(
            f"The classifier has {outputs} outputs and config.json names {count} labels.", pointer=pointer
        )
    if count > MAX_LABELS:
        raise ResourceLimit(f"The model has {count:,} labels. The limit is {MAX_LABELS:,}.", pointer=pointer)


def _label(number: int, name: object, pointer: str) -> str:
    if not isinstance(name, str | int | float):
        raise UnsupportedModel(f"Label {number} of the model is not a text.", pointer=pointer)
    label = str(name)
    if len(label) > MAX_LABEL:
        raise ResourceLimit(
            f"Label {number}, {quote(label)}, has {len(label):,} characters. The limit is {MAX_LABEL:,}.",
            pointer=pointer,
        )
    if not storable(label):
        raise UnsupportedModel(
            f"Label {number}, {quote(label)}, has a character that cannot be stored: NUL, or half of a surrogate pair.",
            pointer=pointer,
        )
    return label
