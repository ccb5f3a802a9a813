"""What a job can be built from: methods, models and datasets with their facts."""

from typing import Any, Literal

from microlith.contract.base import Answer


class MethodInfo(Answer):
    """A way to score importance: a sentence, its source, the structures it serves and the schema of its options."""

    name: str
    title: str
    description: str
    source: str
    structures: list[str]
    schema_: dict[str, Any]
    defaults: dict[str, Any]

    model_config = Answer.model_config | {"serialize_by_alias": True, "alias_generator": lambda n: n.rstrip("_"), "populate_by_name": True}


class OptionInfo(Answer):
    """A part of the spec: a sentence, its JSON Schema and its default."""

    name: str
    description: str
    schema_: dict[str, Any]
    default: Any

    model_config = Answer.model_config | {"serialize_by_alias": True, "alias_generator": lambda n: n.rstrip("_"), "populate_by_name": True}


class StructureInfo(Answer):
    """What is removed."""

    name: str
    description: str


class Methods(Answer):
    """Everything a spec may say."""

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
    """A model known without loading it: from its config and the header of its weights."""

    id: str
    object: Literal["model"] = "model"
    revision: str | None
    sha256: str | None
    architecture: str | None
    family: str | None
    labels: list[str]
    max_length: int | None
    parameters: int
    size_bytes: int
    layers: list[LayerInfo]
    structures: list[str]
    licence: str | None = None


class SplitInfo(Answer):
    """One split: rows, and how many of each label."""

    rows: int
    labels: dict[str, int]


class DatasetInfo(Answer):
    """A dataset known without loading it whole."""

    id: str
    object: Literal["dataset"] = "dataset"
    revision: str | None
    columns: dict[str, str]
    text_column: str
    label_column: str
    splits: dict[str, SplitInfo]
    size_bytes: int
    licence: str | None = None
