"""What a job can be built from: methods, models and datasets with their facts."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from microlith.contract.base import Answer
from microlith.contract.options import NumberType
from microlith.contract.references import by_role

Task = Literal["text", "image"]
"""What a classifier reads."""


class MethodInfo(Answer):
    """A way to score importance: a sentence about it, its source, the structures it supports and the schema of its
    options.
    """

    name: str
    title: str
    description: str
    source: str
    structures: list[str]
    json_schema: dict[str, Any] = Field(alias="schema")
    defaults: dict[str, Any]


class OptionInfo(Answer):
    """A part of the spec: a sentence about it, its JSON Schema and its default."""

    name: str
    description: str
    json_schema: dict[str, Any] = Field(alias="schema")
    default: Any


class StructureInfo(Answer):
    """What is removed."""

    name: str
    description: str


class Methods(Answer):
    """Everything that a spec can contain."""

    object: Literal["methods"] = "methods"
    methods: list[MethodInfo]
    structures: list[StructureInfo]
    options: list[OptionInfo]


class LayerInfo(Answer):
    """A linear layer: its dotted name, [out, in] and whether it is pruned by default."""

    name: str
    shape: list[int]
    feed_forward: bool


class ModelInfo(Answer):
    """A model as its config and the header of its weights describe it. A model registered by its name on the hub has no
    facts until a worker has downloaded it.
    """

    id: str
    object: Literal["model"] = "model"
    name: str | None = Field(
        None, description="The name to show: the file's name for an upload, else the name in the reference."
    )
    origin: str | None = Field(None, description="For a registered model: the upload, or `hub:ORG/NAME[@REVISION]`.")
    created_at: datetime | None = None
    revision: str | None
    sha256: str | None = Field(description="Of the weights.")
    content_sha256: str | None = Field(
        None, description="Of every file that decides what it answers: weights, config, tokenizer, by name and content."
    )
    architecture: str | None
    family: str | None
    task: Task = Field("text", description="What the model reads.")
    labels: list[str] = Field(description="In the order of class ids. Empty in lists.")
    multi_label: bool = Field(
        False, description="Whether an input may have several labels, or none (`multi_label_classification`)."
    )
    label_count: int | None = None
    max_length: int | None
    image_shape: list[int] | None = Field(None, description="Channels, height and width of the images it reads.")
    parameters: int | None
    dtype: NumberType | None = Field(
        None, description="The number type of all its weights; float32 if they are of several types."
    )
    size_bytes: int | None
    layers: list[LayerInfo] = Field(description="Every linear layer. Empty in lists.")
    layer_count: int | None = None
    structures: list[str] = Field(description="What can be removed, as far as it is known.")
    structures_refused: dict[str, str] | None = Field(
        None,
        description="Why `neurons` or `heads` cannot be removed. Null for an architecture that is not known by name "
        "and that no job has opened: any structure can be asked for, and the job says what is there.",
    )
    licence: str | None = None


class SplitInfo(Answer):
    """One split: its number of rows, and how many of them have each label."""

    rows: int
    labels: dict[str, int] = Field(description="Left out of lists.")


class DatasetInfo(Answer):
    """A dataset as far as it is known without loading all of it. A dataset registered by its name on the hub has no
    facts.
    """

    id: str
    object: Literal["dataset"] = "dataset"
    name: str | None = Field(
        None, description="The name to show: the file's name for an upload, else the name in the reference."
    )
    origin: str | None = Field(None, description="For a registered dataset: the upload, or `hub:ORG/NAME[@REVISION]`.")
    created_at: datetime | None = None
    revision: str | None
    sha256: str | None = None
    columns: dict[str, str] = Field(description="The type of each column by its name. Empty in lists.")
    column_count: int | None = None
    label_count: int | None = Field(None, description="The number of different labels in all splits together.")
    text_column: str | None = None
    text_pair_column: str | None = Field(None, description="The second text of each row, where rows are pairs.")
    image_column: str | None = None
    label_column: str | None
    label_columns: list[str] | None = Field(None, description="Multi-label data with one column for each label.")
    class_names: list[str] | None = Field(
        None, description="The data's own names for the ids in its label column. Empty in lists."
    )
    splits: Annotated[dict[str, SplitInfo], AfterValidator(by_role)]
    size_bytes: int | None
    licence: str | None = None
    first_rows: list[dict[str, str | None]] = Field(
        [], description="The first rows of a split as they are read, texts cut short. Empty in lists."
    )
    form: dict[str, Any] = Field(
        {}, description="For a registered dataset: what was said of how to read it. Left out of lists."
    )
    warnings: list[str] = Field([], description="What was guessed about the files, and what to mind.")
