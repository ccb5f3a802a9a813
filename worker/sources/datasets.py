"""Datasets by reference, loaded: inputs and class ids per role, whatever the source calls its labels and columns."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app import confined
from app.domain.errors import DatasetInvalid
from app.sources.allowed_paths import Allowed
from app.sources.columns import Columns, refuse_missing
from app.sources.data_warnings import blank_texts, same_rows
from app.sources.demo import Licence
from app.sources.labels import class_names_of, match_labels, refuse_unlabelled
from app.sources.licences import licence_of
from app.sources.reference_files import dataset_place, sha256, stamp
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.size_limits import MAX_WARNINGS
from app.sources.splits import POINTER, split_files
from microlith.contract import DatasetFacts, DatasetSpec, ModelInfo
from worker.compute.examples import PairOfTexts
from worker.sources import confined_reading
from worker.sources.hub import fetch
from worker.sources.hub_file_names import role_files
from worker.sources.images import Images, joined, stored_images

_LIMITS = confined.Limits(
    memory_bytes=1_500_000_000,
    cpu_seconds=900,
    wall_seconds=1800.0,
    file_bytes=confined_reading.MAX_BYTES + 500_000_000,
)
"""For the largest data that is read."""

ClassIds = npt.NDArray[np.int64]
DatasetInputs = list[str] | list[PairOfTexts] | Images
"""Texts, pairs of them, or images as they are stored."""


@dataclass(frozen=True)
class LoadedDataset:
    """The splits of a job, in memory, row numbers as in the source."""

    facts: DatasetFacts
    licence: Licence | None
    rows: dict[str, tuple[DatasetInputs, ClassIds]]

    def split(self, role: str) -> tuple[DatasetInputs, ClassIds]:
        """Inputs and class ids [rows] of the split that plays `role`."""
        return self.rows[role]


@dataclass(frozen=True)
class _Source:
    """Files by role, and what they are known by; `ours` are trusted."""

    place: Path
    files: dict[str, list[Path]]
    names: dict[str, str]
    revision: str | None = None
    sha256: str | None = None
    ours: bool = False


def load_dataset(
    source: DatasetSpec,
    model: ModelInfo,
    roles: Iterable[str],
    *,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
    meanwhile: Callable[[], None] = lambda: None,
) -> LoadedDataset:
    """The data behind any reference, for `roles`, with the inputs that the model reads.

    Files of strangers are read by a confined process; what `meanwhile` raises ends it. Raises DatasetInvalid for data
    that cannot be used, ResourceLimit for more than is read, UnknownLabels for labels that fit no class of the model,
    and SourceUnavailable for the hub.
    """
    ref, asked_roles = parse(source.ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf), list(roles)
    located = _from_hub(source, ref, asked_roles) if ref.kind == "hub" else _from_disk(source, ref, asked_roles)
    columns, facts_read = _read(located, source, model, meanwhile)
    class_names = class_names_of(facts_read["class_names"], model.labels)
    refuse_unlabelled({role: Counter(labels) for role, (_, labels) in columns.items()}, [*model.labels, *source.labels])
    used = sorted({label for _, labels in columns.values() for label in labels})
    ids = match_labels(used, model.labels, class_names, source.labels)
    facts = DatasetFacts(
        ref=source.ref,
        name=ref.title,
        revision=located.revision,
        sha256=located.sha256,
        splits=located.names,
        rows={role: len(inputs) for role, (inputs, _) in columns.items()},
        warnings=facts_read["warnings"][:MAX_WARNINGS],
    )
    rows = {
        role: (inputs, np.array([ids[label] for label in labels], dtype=np.int64))
        for role, (inputs, labels) in columns.items()
    }
    return LoadedDataset(facts, licence_of(ref, located.place), rows)


def _from_disk(source: DatasetSpec, ref: Reference, roles: list[str]) -> _Source:
    place = dataset_place(ref, pointer=POINTER)
    files = split_files(place, source.splits, roles)
    names = {role: ", ".join(file.name for file in shards) for role, shards in files.items()}
    digests = [sha256(stamp(file)) for role in sorted(files) for file in files[role]]
    together = hashlib.sha256("".join(digests).encode()).hexdigest()
    return _Source(place, files, names, sha256=together, ours=ref.kind == "demo")


def _from_hub(source: DatasetSpec, ref: Reference, roles: list[str]) -> _Source:
    chosen: dict[str, list[str]] = {}

    def choose(names: Sequence[str]) -> list[str]:
        chosen.update(role_files(names, source.splits, roles))
        return [name for shards in chosen.values() for name in shards]

    snapshot = fetch(ref, "dataset", choose)
    files = {role: [snapshot.files[name] for name in shards] for role, shards in chosen.items()}
    names = {role: str(getattr(source.splits, role)) for role in roles}
    return _Source(snapshot.folder, files, names, revision=snapshot.commit)


def _read(
    located: _Source, source: DatasetSpec, model: ModelInfo, meanwhile: Callable[[], None]
) -> tuple[dict[str, tuple[DatasetInputs, list[str]]], dict[str, Any]]:
    """Inputs and label strings by role, before the labels have met the model, and what else the files say."""
    files = list(dict.fromkeys(file for shards in located.files.values() for file in shards))
    if not files:
        raise DatasetInvalid("No split was asked for.", pointer=POINTER)
    folder = located.place if located.place.is_dir() else located.place.parent
    with tempfile.TemporaryDirectory(prefix="microlith-data-") as scratch:
        into = Path(scratch)
        asked = confined_reading.question(source, model, files, into)
        answer = confined_reading.answer(asked) if located.ours else _confined(asked, files, into, meanwhile)
        columns = Columns(**answer["columns"])
        rows = {
            role: _collect(
                (batch for file in shards for batch in confined_reading.batches_of(into, files.index(file))),
                _Reading(columns, role, model, folder),
            )
            for role, shards in located.files.items()
        }
    answer["warnings"] += same_rows(located.files)
    if columns.task == "text":
        pairs = columns.pair is not None
        for role, (texts, _) in rows.items():
            empty = [row for row, given in enumerate(texts) if not all(map(str.strip, given if pairs else [given]))]
            answer["warnings"] += blank_texts(role, len(empty), empty, pairs=pairs)
    return rows, answer


def _confined(asked: object, files: list[Path], into: Path, meanwhile: Callable[[], None]) -> Any:
    question = confined.Reading(
        confined_reading.__name__,
        asked,
        blames=DatasetInvalid,
        pointer=POINTER,
        reads=files,
        writes=[into],
        limits=_LIMITS,
    )
    return confined.run(question, meanwhile)


@dataclass(frozen=True)
class _Reading:
    """How the batches of a split become inputs."""

    columns: Columns
    role: str
    model: ModelInfo
    folder: Path

    def images(self, batch: pa.Array) -> Images:
        return stored_images(batch, self.columns.input, self.model.image_shape or [], self.folder)


def _collect(batches: Iterable[tuple[pa.Array, pa.Array]], reading: _Reading) -> tuple[DatasetInputs, list[str]]:
    """All inputs and labels; DatasetInvalid for a split without rows or with gaps."""
    columns = reading.columns
    texts: list[Any] = []
    images: list[Images] = []
    labels: list[str] = []
    missing = dict.fromkeys([*columns.inputs, columns.label], 0)
    for inputs, label in batches:
        read = columns.split(inputs)
        for column, values in (read | {columns.label: label}).items():
            missing[column] += values.null_count
        if columns.task == "image":
            images.append(reading.images(inputs.drop_null()))
        elif columns.pair is None:
            texts += inputs.to_pylist()
        else:
            texts += zip(*(values.to_pylist() for values in read.values()), strict=True)
        labels += label.to_pylist()
    refuse_missing(missing, f"the {reading.role} split")
    if not labels:
        raise DatasetInvalid(f"The {reading.role} split has no rows.", pointer=f"{POINTER}/splits/{reading.role}")
    return (texts if columns.task == "text" else joined(images, columns.input)), labels
