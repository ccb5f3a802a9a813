"""Models and datasets there are, and what is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.web.views import words
from microlith.contract import DatasetInfo, ModelInfo
from microlith.display import figures


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


def models_page(models: Sequence[ModelInfo]) -> SourcesPage:
    return SourcesPage("model", [_model(model) for model in models])


def datasets_page(datasets: Sequence[DatasetInfo]) -> SourcesPage:
    return SourcesPage("dataset", [_dataset(dataset) for dataset in datasets])


def _model(model: ModelInfo) -> SourceLine:
    facts = [
        model.architecture,
        words.count(len(model.labels), "label") if model.labels else None,
        f"{figures.quantity(model.parameters)} parameters" if model.parameters else None,
    ]
    return SourceLine(
        model.id,
        model.name or words.short_name(model.id),
        _origin(model),
        " · ".join(fact for fact in facts if fact) or "not fetched yet",
        figures.size(model.size_bytes),
        model.licence or "",
    )


def _dataset(dataset: DatasetInfo) -> SourceLine:
    rows = ", ".join(f"{name} {split.rows:,}" for name, split in dataset.splits.items())
    return SourceLine(
        dataset.id,
        dataset.name or words.short_name(dataset.id),
        _origin(dataset),
        rows or "not fetched yet",
        figures.size(dataset.size_bytes),
        dataset.licence or "",
    )


def _origin(source: ModelInfo | DatasetInfo) -> str:
    """Where it is from, and the id that names it in a job."""
    return source.id if source.origin else f"{source.id}, comes with the server"
