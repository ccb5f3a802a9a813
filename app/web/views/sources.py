"""Models and datasets there are, and what is known of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from app.web.views import phrases
from microlith.contract import DatasetInfo, ModelInfo
from microlith.contract.catalog import LayerInfo
from microlith.display import numbers
from microlith.display.structure_notes import structure_notes

LABELS, LAYERS = 100, 200
"""How many a page shows."""


@dataclass(frozen=True)
class SourceLine:
    """A model or dataset in its list."""

    id: str
    name: str
    origin: str
    facts: str
    size: str
    licence: str


@dataclass(frozen=True)
class SourcesPage:
    """One of the two lists. `kind` is `model` or `dataset`."""

    kind: str
    lines: list[SourceLine]


@dataclass(frozen=True)
class ModelPage:
    """A model with the first of its labels and layers, and how many more there are."""

    model: ModelInfo
    labels: list[str]
    more_labels: int
    layers: list[LayerInfo]
    more_layers: int
    structure_notes: list[tuple[str, str]]
    """What stands before a note on structures, and the note."""


@dataclass(frozen=True)
class DatasetPage:
    """A dataset with the first of its labels, and how many more labels, and columns than the first rows have."""

    dataset: DatasetInfo
    labels: list[str]
    more_labels: int
    more_columns: int
    read_with: str


def model_page(model: ModelInfo) -> ModelPage:
    labels, layers, notes = model.labels, model.layers, structure_notes(model)
    return ModelPage(
        model=model,
        labels=labels[:LABELS],
        more_labels=max(len(labels) - LABELS, 0),
        layers=layers[:LAYERS],
        more_layers=max(len(layers) - LAYERS, 0),
        structure_notes=[(name.capitalize(), note) for name, note in notes.items()],
    )


def dataset_page(dataset: DatasetInfo) -> DatasetPage:
    labels = sorted({label for split in dataset.splits.values() for label in split.labels})
    more_columns = len(dataset.columns) - len(dataset.first_rows[0]) if dataset.first_rows else 0
    read_with = json.dumps(dataset.form, ensure_ascii=False) if dataset.form else ""
    return DatasetPage(dataset, labels[:LABELS], max(len(labels) - LABELS, 0), more_columns, read_with)


def models_page(models: Sequence[ModelInfo]) -> SourcesPage:
    return SourcesPage("model", [_model(model) for model in models])


def datasets_page(datasets: Sequence[DatasetInfo]) -> SourcesPage:
    return SourcesPage("dataset", [_dataset(dataset) for dataset in datasets])


def _model(model: ModelInfo) -> SourceLine:
    facts = [
        model.architecture,
        phrases.count(model.label_count, "label") if model.label_count else None,
        f"{numbers.quantity(model.parameters)} parameters" if model.parameters else None,
    ]
    return SourceLine(
        model.id,
        model.name or phrases.short_name(model.id),
        _origin(model),
        " · ".join(fact for fact in facts if fact) or "not downloaded yet",
        numbers.size(model.size_bytes),
        model.licence or "",
    )


def _dataset(dataset: DatasetInfo) -> SourceLine:
    rows = ", ".join(f"{name} {split.rows:,}" for name, split in dataset.splits.items())
    return SourceLine(
        dataset.id,
        dataset.name or phrases.short_name(dataset.id),
        _origin(dataset),
        rows or "not downloaded yet",
        numbers.size(dataset.size_bytes),
        dataset.licence or "",
    )


def _origin(source: ModelInfo | DatasetInfo) -> str:
    """Where it is from, and the id that names it in a job."""
    return source.id if source.origin else f"{source.id}, comes with the server"
