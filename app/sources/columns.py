"""Which columns hold the inputs and the labels, and whether their types and values can serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid
from app.sources.column_kinds import is_binary, is_list, is_text
from app.sources.json_file import storable
from app.sources.label_lists import FORMS, Several
from app.sources.label_places import IF_SEVERAL, first_label_column, propose_columns, several_labels
from app.sources.short_texts import list_first, shorten
from app.sources.size_limits import MAX_LABEL_CHARACTERS, MAX_LABELS, POINTER, within
from app.sources.table_schema import TableSchema
from microlith.contract import DatasetSpec, ModelInfo
from microlith.contract.catalog import Task

TEXT_COLUMNS = ("text", "sentence", "content")
IMAGE_COLUMNS = ("image", "img", "pixels")
LABEL_COLUMNS = ("label", "labels", "class", "category")
_HOLDS = {"text_pair_column": "second texts", "label_column": "classes", "label_columns": "labels"}
_FIELDS = {"text": ("text_column", TEXT_COLUMNS), "image": ("image_column", IMAGE_COLUMNS)}


@dataclass(frozen=True)
class Columns:
    """The columns a job reads: `input` holds texts, or images where that is the task; `label` the classes.

    `pair` holds the second text of each row, where rows are pairs. Where rows may have `several` labels, these may
    stand in columns of their own, of which `label` is the first.
    """

    task: Task
    input: str
    label: str
    pair: str | None = None
    several: Several | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Columns:
        """Of what `dataclasses.asdict` has made of them, through JSON and back."""
        several = told["several"] and Several(**{**told["several"], "columns": tuple(told["several"]["columns"])})
        return cls(**{**told, "several": several})

    @property
    def inputs(self) -> list[str]:
        """What is read beside the labels."""
        return [self.input, self.pair] if self.pair else [self.input]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every column of labels."""
        return self.several.columns if self.several and self.several.columns else (self.label,)

    @property
    def listed(self) -> bool:
        """Whether the labels of a row are a list."""
        return self.several is not None and not self.several.columns

    @property
    def in_columns(self) -> bool:
        """Whether each label has a column of its own."""
        return self.several is not None and bool(self.several.columns)

    @property
    def single_texts(self) -> bool:
        """Whether each row is read as one text."""
        return self.task == "text" and self.pair is None

    def split(self, batch: pa.Array) -> dict[str, pa.Array]:
        """A batch of inputs, by column: pairs are stored as structs of two texts."""
        if self.pair is None:
            return {self.input: batch}
        return {name: batch.field(name) for name in self.inputs}


def choose_columns(source: DatasetSpec, schema: TableSchema, model: ModelInfo | None) -> Columns:
    """The columns the spec names, or those with usual names; DatasetInvalid with the columns there are.

    Inputs are what the model reads. Without a model they are texts, unless only images can be found.
    """
    task = model.task if model else _task(source, schema)
    field, usual = _FIELDS[task]
    for other in ("image_column",) if task == "text" else ("text_column", "text_pair_column"):
        if getattr(source, other) is not None:
            raise DatasetInvalid(
                f"The model reads {task}s, so `{other}` cannot be used.",
                hint=f"Name the column in `{field}`.",
                pointer=f"{POINTER}/{other}",
            )
    chosen = _choose(getattr(source, field), usual, schema, field)
    pair = source.text_pair_column and _choose(source.text_pair_column, (), schema, "text_pair_column")
    if source.label_columns:
        label = first_label_column(source, schema, model)
    else:
        label = _choose(source.label_column, LABEL_COLUMNS, schema, "label_column", propose_columns(schema, model))
    columns = Columns(task, chosen, label, pair, several_labels(source, schema.types.get(label), model))
    for column in columns.labels:
        where = "label_columns" if source.label_columns else "label_column"
        _check_apart({field: chosen, where: column, "text_pair_column": pair})
    return columns


def check_types(schema: TableSchema, columns: Columns, image_shape: Sequence[int] | None = None) -> None:
    """DatasetInvalid where a column is missing, or its type cannot be text, an image of that shape, or a label.

    ResourceLimit where the data names more classes than it may.
    """
    for column in (*columns.inputs, *columns.labels):
        if column not in schema.types:
            columns_there = list_first(list(schema.types))
            raise DatasetInvalid(f"A file has no column {shorten(column)}. Columns: {columns_there}.", pointer=POINTER)
    _check_class_names(schema.class_names.get(columns.label, []))
    if columns.task == "image":
        _check_image_type(schema.types[columns.input], columns.input, image_shape)
    for column, field in zip(columns.inputs, ("text_column", "text_pair_column"), strict=False):
        kind = schema.types[column]
        # An untyped column holds nothing but nulls so far; counting says how many.
        if columns.task == "text" and not (is_text(kind) or pa.types.is_null(kind)):
            raise DatasetInvalid(f"Column {column} holds {shorten(str(kind))}, not text.", pointer=f"{POINTER}/{field}")
    for column in columns.labels:
        _check_label_type(schema.types[column], column, columns.several)


def check_pixels(values: pa.Array, column: str, image_shape: Sequence[int] | None) -> None:
    """DatasetInvalid unless every list of numbers, nulls apart, is as long as the model's images are large.

    Without a shape, unless all are equally long. Values that are no lists pass.
    """
    if not is_pixels(values.type):
        return
    for length in pc.unique(pc.list_value_length(values).drop_null()).to_pylist():
        image_shape = image_shape or (1, 1, length)
        _check_length(length, column, image_shape)


def refuse_missing(missing: dict[str, int], where: str, *, listed: bool = False) -> None:
    """DatasetInvalid with how many rows miss a value, where any does; `listed` is whether labels are lists."""
    hint = "Drop these rows or fill them in." + (" A row that has none of the labels says so: `[]`." if listed else "")
    for column, rows in missing.items():
        if rows:
            raise DatasetInvalid(f"{rows} rows of {where} have no {column}.", hint=hint, pointer=POINTER)


def blank_rows(texts: Iterable[pa.Array]) -> list[int]:
    """The places where one of the texts is nothing but white space; the arrays are those of `Columns.split`."""
    blank = set[int]()
    for column in texts:
        lengths = pc.binary_length(pc.utf8_trim_whitespace(column))
        empty = pc.invert(lengths.cast(pa.bool_()))  # compared with "", pyarrow would import pandas
        blank.update(pc.indices_nonzero(empty).to_pylist())
    return sorted(blank)


def is_pixels(kind: pa.DataType) -> bool:
    """Whether a column of this type holds images as lists of numbers."""
    if not is_list(kind):
        return False
    inner = kind.value_type
    return bool(pa.types.is_integer(inner) or pa.types.is_floating(inner))


def is_encoded(kind: pa.DataType) -> bool:
    """Whether a column of this type holds image files: their bytes, alone or in the struct that `datasets` writes."""
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and is_binary(kind.field(at).type)
    return is_binary(kind)


def _check_label_type(kind: pa.DataType, column: str, several: Several | None) -> None:
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if is_text(kind) or numbers or pa.types.is_null(kind):
        return
    if several and several.columns:
        allowed, hint, fits = "0 and 1, or false and true", None, pa.types.is_boolean(kind)
    elif several:
        allowed, hint, fits = "lists of names or ids", FORMS, is_list(kind) and _lists_labels(kind.value_type)
    else:
        allowed, hint, fits = "whole numbers (class ids) or names", IF_SEVERAL if is_list(kind) else None, False
    if not fits:
        raise DatasetInvalid(
            f"Column {column} holds {shorten(str(kind))}. Labels are {allowed}.",
            hint=hint,
            pointer=f"{POINTER}/{'label_columns' if several and several.columns else 'label_column'}",
        )


def _lists_labels(kind: pa.DataType) -> bool:
    """Whether the values of a list can be labels."""
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(numbers or is_text(kind) or pa.types.is_null(kind))


def _choose(named: str | None, usual: Iterable[str], schema: TableSchema, field: str, hint: str | None = None) -> str:
    names = [named] if named else list(usual)
    for name in names:
        if name in schema.types:
            return name
    raise DatasetInvalid(
        f"The data has no column {' or '.join(map(shorten, names))}. Columns: {list_first(list(schema.types))}.",
        hint=None if named else hint or f"Name it in `{field}` of the dataset object.",
        pointer=f"{POINTER}/{field}",
    )


def _check_apart(named: dict[str, str | None]) -> None:
    """DatasetInvalid where one column is named, or found, as two: the texts', the pairs' and the labels'."""
    fields: dict[str | None, str] = {}
    for field, column in named.items():
        if column is not None and column in fields:
            raise DatasetInvalid(
                f"Column {shorten(column)} is named both as `{fields[column]}` and as `{field}`.",
                hint=f"Name the column of the {_HOLDS[field]} in `{field}`.",
                pointer=f"{POINTER}/{field}",
            )
        fields[column] = field


def _task(source: DatasetSpec, schema: TableSchema) -> Task:
    named = source.text_column or source.text_pair_column
    if source.image_column and not named:
        return "image"
    texts = named or any(name in schema.types for name in TEXT_COLUMNS)
    images = any(name in schema.types for name in IMAGE_COLUMNS)
    return "image" if images and not texts else "text"


def _check_image_type(kind: pa.DataType, column: str, image_shape: Sequence[int] | None) -> None:
    if not (is_pixels(kind) or is_encoded(kind)):
        raise DatasetInvalid(
            f"Column {column} holds {shorten(str(kind))}. Images are lists of numbers, or files (PNG, JPEG) as bytes.",
            hint="Parquet can hold both, JSON Lines only lists of numbers.",
            pointer=f"{POINTER}/image_column",
        )
    if pa.types.is_fixed_size_list(kind) and image_shape:
        _check_length(kind.list_size, column, image_shape)


def _check_length(length: int, column: str, shape: Sequence[int]) -> None:
    channels, height, width = shape
    if length != channels * height * width:
        raise DatasetInvalid(
            f"Column {column} has rows of {length} numbers; the model's images are {channels} × {height} × {width} "
            f"(channels, height, width), which makes {channels * height * width}.",
            pointer=f"{POINTER}/image_column",
        )


def _check_class_names(names: Sequence[str]) -> None:
    pointer = f"{POINTER}/label_column"
    within(len(names), MAX_LABELS, f"The data names {len(names):,} classes", "Check that it is the label column.")
    for name in names:
        if len(name) > MAX_LABEL_CHARACTERS or not storable(name):
            raise DatasetInvalid(
                f"Class name {shorten(name)} is too long or not a text.",
                hint=f"Names may have at most {MAX_LABEL_CHARACTERS:,} characters, and no NUL.",
                pointer=pointer,
            )
