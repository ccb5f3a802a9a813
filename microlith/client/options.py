"""What `decompose` and `upload_dataset` can be told: fields of the contract, in the forms people write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from pydantic import BaseModel

from microlith.contract import (
    Calibration,
    Carve,
    DatasetSpec,
    Distillation,
    Evaluation,
    Export,
    LayerPatterns,
    RatioRule,
    Sampling,
    Splits,
)

Source: TypeAlias = str | Path
"""A reference, or a file or folder of this machine to be uploaded."""

Dataset: TypeAlias = Source | DatasetSpec | Mapping[str, Any]
"""A source, or a reference with columns and splits."""

SpecPart: TypeAlias = Mapping[str, Any]


class FormOptions(TypedDict, total=False):
    """How uploaded data is to be read: the fields of DataForm. None leaves a field out."""

    text_column: str | None
    text_pair_column: str | None
    image_column: str | None
    label_column: str | None
    label_columns: Sequence[str] | None
    delimiter: str | None
    encoding: str | None
    labels: Mapping[str, str] | None
    splits: Splits | SpecPart | None
    carve: Carve | SpecPart | None


class SpecOptions(TypedDict, total=False):
    """JobSpec's optional fields. A field that you leave out has the server's default."""

    concerns: str | Sequence[str | int]
    method: str | SpecPart | BaseModel
    structure: str
    scope: str | None
    ratio: float | Sequence[float]
    ratio_rules: Sequence[RatioRule | SpecPart]
    recovery: str
    distil: Distillation | SpecPart
    head: str
    layers: LayerPatterns | SpecPart | None
    sampling: Sampling | SpecPart
    calibration: Calibration | SpecPart
    evaluation: Evaluation | SpecPart
    export: Export | SpecPart
    priority: str
    workers: int
    deadline_seconds: int | None
    reuse: bool
    labels: Mapping[str, str]


def spec_of(model: str, dataset: Any, options: SpecOptions) -> dict[str, Any]:
    """The request's body; only what was given, so that the server decides the rest."""
    spec = {"model": model, "dataset": dataset, **options}
    if isinstance(spec.get("method"), str):
        spec["method"] = {"name": spec["method"]}
    return {name: _plain(value) for name, value in spec.items()}


def form_of(options: FormOptions) -> dict[str, Any]:
    """What was given of how data is to be read."""
    return {name: _plain(value) for name, value in options.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
