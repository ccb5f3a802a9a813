"""Columns of 0 and 1, one for each label of a multi-label model: that there is one for each."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.errors import DatasetInvalid
from app.sources.labels import match_labels
from app.sources.short_texts import list_first, shorten
from microlith.contract import DatasetSpec


def check_label_columns(source: DatasetSpec, model_labels: Sequence[str]) -> None:
    """Each label of the model must have one of the `label_columns`, where there are any.

    UnknownLabels for a column that is no label's, DatasetInvalid for a label of no column or of several.
    """
    if not source.label_columns:
        return
    ids = match_labels(source.label_columns, model_labels, given=source.labels)
    columns: dict[int, list[str]] = {number: [] for number in range(len(model_labels))}
    for column, number in ids.items():
        columns[number].append(column)
    wrong = {model_labels[number]: named for number, named in columns.items() if len(named) != 1}
    for label, named in wrong.items():
        raise DatasetInvalid(
            f"The label {shorten(label)} has {len(named) or 'no'} column{'s' if named else ''}"
            f"{f' ({list_first(named)})' if named else ''} among `label_columns`.",
            hint="Name one column for each label of the model. `labels` says which is which: {column: model label}.",
            pointer="/dataset/label_columns",
        )
