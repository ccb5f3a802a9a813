"""Datasets by reference, loaded: inputs and class ids per role, whatever the source calls its labels and columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.allowed import Allowed
from app.sources.columns import Columns, check_types, choose_columns, refuse_missing
from app.sources.datasets import LocalDataset, open_dataset
from app.sources.demo import Licence
from app.sources.labels import match_labels
from app.sources.licences import licence_of
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.splits import POINTER
from app.sources.tables import label_names, read_rows, schema_of
from microlith.contract import DatasetFacts, DatasetSpec, ModelInfo
from worker.sources.hub import fetch
from worker.sources.images import Images, joined, stored_images

Labels = npt.NDArray[np.int64]
Inputs = list[str] | Images
"""Texts, or images as they are stored."""


@dataclass(frozen=True)
class LoadedDataset:
    """The splits of a job, in memory, row numbers as in the source."""

    facts: DatasetFacts
    licence: Licence | None
    rows: dict[str, tuple[Inputs, Labels]]

    def split(self, role: str) -> tuple[Inputs, Labels]:
        """Inputs and class ids [rows] of the split that plays `role`."""
        return self.rows[role]


@dataclass(frozen=True)
class _Source:
    """Inputs and label strings per role, before the labels have met the model."""

    columns: dict[str, tuple[Inputs, list[str]]]
    names: dict[str, str]
    class_names: list[str] | None
    licence: Licence | None
    revision: str | None = None
    sha256: str | None = None


def load_dataset(
    source: DatasetSpec, model: ModelInfo, roles: Iterable[str], *, allow_paths: Allowed, shelf: Shelf = NOTHING
) -> LoadedDataset:
    """The data behind any reference, for `roles`, with the inputs that the model reads.

    Raises DatasetInvalid for data that cannot be used, UnknownLabels for labels that fit no class of the model, and
    SourceUnavailable for the hub.
    """
    local = open_dataset(source, roles, model=model, allow_paths=allow_paths, shelf=shelf)
    ref = local.ref if local else parse(source.ref, pointer=POINTER, allow_paths=False, shelf=shelf)
    found = _from_files(local, model) if local else _from_hub(source, ref, roles, model)
    used = sorted({label for _, labels in found.columns.values() for label in labels})
    ids = match_labels(used, model.labels, found.class_names)
    facts = DatasetFacts(
        ref=source.ref,
        name=ref.title,
        revision=found.revision,
        sha256=found.sha256,
        splits=found.names,
        rows={role: len(inputs) for role, (inputs, _) in found.columns.items()},
    )
    rows = {
        role: (inputs, np.array([ids[label] for label in labels], dtype=np.int64))
        for role, (inputs, labels) in found.columns.items()
    }
    return LoadedDataset(facts, found.licence, rows)


def _from_files(local: LocalDataset, model: ModelInfo) -> _Source:
    columns = local.columns
    folder = local.place if local.place.is_dir() else local.place.parent
    found = {
        role: _collect(
            (batch for file in files for batch in read_rows(file, columns.input, columns.label)),
            _Reading(columns, role, model, folder),
        )
        for role, files in local.files.items()
    }
    names = {role: ", ".join(file.name for file in files) for role, files in local.files.items()}
    return _Source(found, names, local.class_names, licence_of(local.ref, local.place), sha256=local.sha256)


def _from_hub(source: DatasetSpec, ref: Reference, roles: Iterable[str], model: ModelInfo) -> _Source:
    """By `datasets`, from a pinned snapshot; its Arrow cache lives and dies with this call."""
    folder, commit = fetch(ref, "dataset")
    names = {role: getattr(source.splits, role) for role in roles}
    with tempfile.TemporaryDirectory(prefix="microlith-data-") as cache:
        found = _prepared(folder, cache, names)
        schema = schema_of(next(iter(found.values())).features.arrow_schema)
        columns = choose_columns(source, schema, model)
        check_types(schema, columns, model.image_shape)
        class_names = schema.class_names.get(columns.label)
        rows = {
            role: _collect(_arrow_rows(found[role], columns, class_names), _Reading(columns, role, model, folder))
            for role in names
        }
        del found
    return _Source(rows, names, class_names, licence_of(ref, folder), revision=commit)


def _prepared(folder: Path, cache: str, names: dict[str, str]) -> dict[str, Any]:
    """Role to its split, converted by `datasets` into `cache`."""
    datasets.disable_progress_bars()
    try:
        splits = datasets.load_dataset(str(folder), cache_dir=cache)
    except (OSError, ValueError, KeyError, RuntimeError, pa.ArrowException, datasets.exceptions.DatasetsError) as error:
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        hint = "A dataset of several configurations or with a loading script can be exported to Parquet and uploaded."
        raise DatasetInvalid(f"The dataset cannot be opened: {detail}", hint=hint, pointer=f"{POINTER}/ref") from error
    for role, name in names.items():
        if name not in splits:
            raise DatasetInvalid(
                f"The dataset has no split {name!r} for {role}. Splits: {', '.join(splits)}.",
                pointer=f"{POINTER}/splits/{role}",
            )
    return {role: splits[name] for role, name in names.items()}


def _arrow_rows(split: Any, columns: Columns, class_names: list[str] | None) -> Iterator[tuple[pa.Array, pa.Array]]:
    for batch in split.data.table.select([columns.input, columns.label]).to_batches():
        yield batch.column(0), label_names(batch.column(1), class_names)


@dataclass(frozen=True)
class _Reading:
    """How the batches of a split become inputs."""

    columns: Columns
    role: str
    model: ModelInfo
    folder: Path

    def images(self, batch: pa.Array) -> Images:
        return stored_images(batch, self.columns.input, self.model.image_shape or [], self.folder)


def _collect(batches: Iterable[tuple[pa.Array, pa.Array]], reading: _Reading) -> tuple[Inputs, list[str]]:
    """All inputs and labels; DatasetInvalid for a split without rows or with gaps."""
    columns = reading.columns
    texts: list[str] = []
    images: list[Images] = []
    labels: list[str] = []
    missing = {columns.input: 0, columns.label: 0}
    for inputs, label in batches:
        missing[columns.input] += inputs.null_count
        missing[columns.label] += label.null_count
        if columns.task == "text":
            texts += inputs.to_pylist()
        else:
            images.append(reading.images(inputs.drop_null()))
        labels += label.to_pylist()
    refuse_missing(missing, f"the {reading.role} split")
    if not labels:
        raise DatasetInvalid(f"The {reading.role} split has no rows.", pointer=f"{POINTER}/splits/{reading.role}")
    return (texts if columns.task == "text" else joined(images, columns.input)), labels
