"""Datasets by reference, loaded: texts and class ids per role, whatever the source calls its labels and columns."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.domain.errors import DatasetInvalid
from app.sources.columns import LABEL_COLUMNS, TEXT_COLUMNS, check_types, choose_column, refuse_missing
from app.sources.datasets import LocalDataset, open_dataset
from app.sources.demo import Licence
from app.sources.labels import match_labels
from app.sources.licences import licence_of
from app.sources.references import parse
from app.sources.splits import POINTER
from app.sources.tables import label_names, read_rows, schema_of
from microlith.contract import DatasetFacts, DatasetSpec
from worker.sources.hub import fetch

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LoadedDataset:
    """The splits of a job, in memory, row numbers as in the source."""

    facts: DatasetFacts
    licence: Licence | None
    rows: dict[str, tuple[list[str], Labels]]

    def split(self, role: str) -> tuple[list[str], Labels]:
        """Texts and class ids [rows] of the split that plays `role`."""
        return self.rows[role]


@dataclass(frozen=True)
class _Source:
    """Texts and label strings per role, before the labels have met the model."""

    columns: dict[str, tuple[list[str], list[str]]]
    names: dict[str, str]
    class_names: list[str] | None
    licence: Licence | None
    revision: str | None = None
    sha256: str | None = None


def load_dataset(
    source: DatasetSpec, model_labels: Sequence[str], roles: Iterable[str], *, allow_paths: bool
) -> LoadedDataset:
    """The data behind any reference, for `roles`.

    Raises DatasetInvalid for data that cannot be used, UnknownLabels for labels that fit no class of the model, and
    SourceUnavailable for the hub.
    """
    local = open_dataset(source, roles, allow_paths=allow_paths)
    found = _from_files(local) if local else _from_hub(source, roles)
    used = sorted({label for _, labels in found.columns.values() for label in labels})
    ids = match_labels(used, model_labels, found.class_names)
    facts = DatasetFacts(
        ref=source.ref,
        revision=found.revision,
        sha256=found.sha256,
        splits=found.names,
        rows={role: len(texts) for role, (texts, _) in found.columns.items()},
    )
    rows = {
        role: (texts, np.array([ids[label] for label in labels], dtype=np.int64))
        for role, (texts, labels) in found.columns.items()
    }
    return LoadedDataset(facts, found.licence, rows)


def _from_files(local: LocalDataset) -> _Source:
    text, label = local.text_column, local.label_column
    columns = {
        role: _collect((batch for file in files for batch in read_rows(file, text, label)), (text, label), role)
        for role, files in local.files.items()
    }
    names = {role: ", ".join(file.name for file in files) for role, files in local.files.items()}
    return _Source(columns, names, local.class_names, licence_of(local.ref, local.place), sha256=local.sha256)


def _from_hub(source: DatasetSpec, roles: Iterable[str]) -> _Source:
    """By `datasets`, from a pinned snapshot; its Arrow cache lives and dies with this call."""
    ref = parse(source.ref, pointer=POINTER, allow_paths=False)
    folder, commit = fetch(ref, "dataset")
    names = {role: getattr(source.splits, role) for role in roles}
    with tempfile.TemporaryDirectory(prefix="microlith-data-") as cache:
        found = _prepared(folder, cache, names)
        schema = schema_of(next(iter(found.values())).features.arrow_schema)
        text = choose_column(source.text_column, TEXT_COLUMNS, schema, "text_column")
        label = choose_column(source.label_column, LABEL_COLUMNS, schema, "label_column")
        check_types(schema, text, label)
        class_names = schema.class_names.get(label)
        columns = {
            role: _collect(_arrow_rows(found[role], text, label, class_names), (text, label), role) for role in names
        }
        del found
    return _Source(columns, names, class_names, licence_of(ref, folder), revision=commit)


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


def _arrow_rows(
    split: Any, text: str, label: str, class_names: list[str] | None
) -> Iterator[tuple[pa.Array, pa.Array]]:
    for batch in split.data.table.select([text, label]).to_batches():
        yield batch.column(0), label_names(batch.column(1), class_names)


def _collect(
    batches: Iterable[tuple[pa.Array, pa.Array]], columns: tuple[str, str], role: str
) -> tuple[list[str], list[str]]:
    """All texts and labels; DatasetInvalid for a split without rows or with gaps."""
    texts: list[str] = []
    labels: list[str] = []
    missing = dict.fromkeys(columns, 0)
    for text, label in batches:
        missing[columns[0]] += text.null_count
        missing[columns[1]] += label.null_count
        texts += text.to_pylist()
        labels += label.to_pylist()
    refuse_missing(missing, f"the {role} split")
    if not texts:
        raise DatasetInvalid(f"The {role} split has no rows.", pointer=f"{POINTER}/splits/{role}")
    return texts, labels
