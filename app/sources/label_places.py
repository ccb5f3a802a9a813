"""Where rows have several labels: in one column of lists, or in a column of 0 and 1 for each label of the model."""

from __future__ import annotations

import json

import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.column_kinds import is_list
from app.sources.label_lists import SEPARATOR, Several
from app.sources.short_texts import list_first
from app.sources.size_limits import POINTER
from app.sources.table_schema import TableSchema
from microlith.contract import DatasetSpec, ModelInfo

IF_SEVERAL = (
    "If the model was trained for several labels, "
    'write "problem_type": "multi_label_classification" into its config.json.'
)


def first_label_column(source: DatasetSpec, schema: TableSchema, model: ModelInfo | None) -> str:
    """The first of the columns of 0 and 1. DatasetInvalid where they cannot be what holds the labels."""
    pointer, columns = f"{POINTER}/label_columns", source.label_columns or []
    if source.label_column is not None:
        raise DatasetInvalid("Name `label_column` or `label_columns`, but not both.", pointer=pointer)
    if model and not model.multi_label:
        raise DatasetInvalid(
            "The model has one class for each input, so its labels cannot stand in several columns.",
            hint=f"Name the column of the classes in `label_column`. {IF_SEVERAL}",
            pointer=pointer,
        )
    if missing := [name for name in columns if name not in schema.types]:
        raise DatasetInvalid(
            f"The data has no column {list_first(missing)}. Columns: {list_first(list(schema.types))}.", pointer=pointer
        )
    if twice := [name for name in set(columns) if columns.count(name) > 1]:
        raise DatasetInvalid(f"Column {list_first(sorted(twice))} is named twice.", pointer=pointer)
    return columns[0]


def several_labels(source: DatasetSpec, kind: pa.DataType | None, model: ModelInfo | None) -> Several | None:
    """How rows have several labels, where they do: as the model says, or else as the data looks."""
    listed = bool(source.label_columns) or (kind is not None and is_list(kind))
    if not (model.multi_label if model else listed):
        return None
    separated = not (model and any(SEPARATOR in label for label in model.labels))
    return Several(tuple(source.label_columns or ()), len(model.labels) if model else None, separated)


def propose_columns(schema: TableSchema, model: ModelInfo | None) -> str | None:
    """What to name where the data has a column for each of the model's labels."""
    if model and model.multi_label and all(label in schema.types for label in model.labels):
        return f'Name them: "label_columns": {json.dumps(model.labels, ensure_ascii=False)}.'
    return None
