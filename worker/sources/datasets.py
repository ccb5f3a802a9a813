"""Datasets by reference, loaded: inputs and class ids per role, whatever the source calls its labels and columns."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app import confined
from app.domain.errors import DatasetInvalid
from app.sources.allowed_paths import Allowed
from app.sources.columns import Columns, refuse_missing
from app.sources.data_warnings import blank_texts, labels_lost, shared_rows
from app.sources.demo import Licence
from app.sources.label_columns import check_label_columns
from app.sources.label_lists import flat, together
from app.sources.labels import class_names_of, match_labels, refuse_unlabelled
from app.sources.licences import licence_of
from app.sources.reference_files import dataset_place, sha256, stamp
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.size_limits import MAX_WARNINGS
from app.sources.split_rows import choose_rows
from app.sources.splits import POINTER, SplitFiles, name_splits, split_files
from microlith.contract import DatasetFacts, DatasetSpec, ModelInfo
from microlith.contract.slices import cut_name
from worker.compute.arrays import Truth
from worker.compute.examples import PairOfTexts
from worker.sources import confined_reading
from worker.sources.hub import Listing, fetch
from worker.sources.hub_configs import README, read_configurations
from worker.sources.hub_file_names import role_files
from worker.sources.images import Images, joined, stored_images

_LIMITS = confined.Limits(
    memory_bytes=1_500_000_000,
    cpu_seconds=900,
    wall_seconds=1800.0,
    file_bytes=confined_reading.MAX_BYTES + 500_000_000,
)
"""For the largest data that is read."""

LabelStrings = list[str] | list[list[str]]
"""Of each row, before they have met the model."""

DatasetInputs = list[str] | list[PairOfTexts] | Images
"""Texts, pairs of them, or images as they are stored."""


@dataclass(frozen=True)
class LoadedDataset:
    """The splits of a job, in memory, row numbers as in the source."""

    facts: DatasetFacts
    licence: Licence | None
    rows: dict[str, tuple[DatasetInputs, Truth]]

    def split(self, role: str) -> tuple[DatasetInputs, Truth]:
        """Inputs and class ids [rows], or labels that each row has [rows, labels], of the split that plays `role`."""
        return self.rows[role]


@dataclass(frozen=True)
class _Source:
    """Files by role, and what they are known by; `ours` are trusted."""

    place: Path
    splits: dict[str, SplitFiles[Path]]
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
    counts = {role: Counter(flat(labels)) for role, (_, labels) in columns.items()}
    if not model.multi_label:
        refuse_unlabelled(counts, [*model.labels, *source.labels])
    check_label_columns(source, model.labels)
    used = sorted({label for counted in counts.values() for label in counted})
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
    classes = len(model.labels) if model.multi_label else None
    rows = {role: (inputs, _truth(labels, ids, classes)) for role, (inputs, labels) in columns.items()}
    return LoadedDataset(facts, licence_of(ref, located.place), rows)


def _truth(labels: LabelStrings, ids: Mapping[str, int], classes: int | None) -> Truth:
    """Class ids [rows]; of lists, whether each row has each of so many `classes` [rows, classes]."""
    if classes is None:
        return np.array([ids[str(label)] for label in labels], dtype=np.int64)
    has = np.zeros((len(labels), classes), dtype=np.bool_)
    for row, own in enumerate(labels):
        has[row, [ids[label] for label in own]] = True
    return has


def _from_disk(source: DatasetSpec, ref: Reference, roles: list[str]) -> _Source:
    place = dataset_place(ref, pointer=POINTER)
    splits = split_files(place, source, roles)
    names = {role: ", ".join(file.name for file in split.files) for role, split in splits.items()}
    digests = [sha256(stamp(file)) for role in sorted(splits) for file in splits[role].files]
    together = hashlib.sha256("".join(digests).encode()).hexdigest()
    return _Source(place, splits, _with_slices(source, splits, names), sha256=together, ours=ref.kind == "demo")


def _from_hub(source: DatasetSpec, ref: Reference, roles: list[str]) -> _Source:
    chosen: dict[str, SplitFiles[str]] = {}

    def choose(listing: Listing) -> list[str]:
        configurations = read_configurations(listing.read(README)) if README in listing.names else []
        chosen.update(role_files(ref, listing.names, configurations, source, roles))
        return [name for split in chosen.values() for name in split.files]

    snapshot = fetch(ref, "dataset", choose)
    splits = {role: SplitFiles([snapshot.files[name] for name in at.files], at.slice) for role, at in chosen.items()}
    names = {role: cut_name(getattr(source.splits, role))[0] for role in splits}
    return _Source(snapshot.folder, splits, _with_slices(source, splits, names), revision=snapshot.commit)


def _with_slices(
    source: DatasetSpec, splits: Mapping[str, SplitFiles[Path]], names: Mapping[str, str]
) -> dict[str, str]:
    return name_splits(source, {role: f"{names[role]}{split.slice or ''}" for role, split in splits.items()})


def _read(
    located: _Source, source: DatasetSpec, model: ModelInfo, meanwhile: Callable[[], None]
) -> tuple[dict[str, tuple[DatasetInputs, LabelStrings]], dict[str, Any]]:
    """Inputs and label strings by role, before the labels have met the model, and what else the files say."""
    files = list(dict.fromkeys(file for split in located.splits.values() for file in split.files))
    if not files:
        raise DatasetInvalid("No split was asked for.", pointer=POINTER)
    folder = located.place if located.place.is_dir() else located.place.parent
    with tempfile.TemporaryDirectory(prefix="microlith-data-") as scratch:
        into = Path(scratch)
        asked = confined_reading.question(source, model, files, into)
        answer = confined_reading.answer(asked) if located.ours else _confined(asked, files, into, meanwhile)
        reading = _Reading(Columns.of(answer["columns"]), model, folder)
        found = {
            file: _collect(confined_reading.batches_of(into, number), reading) for number, file in enumerate(files)
        }
    for role, split in located.splits.items():
        missing = sum((found[file].missing for file in split.files), Counter[str]())
        refuse_missing(missing, f"the {role} split", listed=reading.columns.listed)
    labels = {file: rows.line().dictionary_encode() for file, rows in found.items()}
    masks = choose_rows(located.splits, source.carve, labels)
    rows = {role: _chosen(role, masks[role], found, reading) for role in located.splits}
    answer["warnings"] += shared_rows(masks)
    if source.carve:
        answer["warnings"] += labels_lost(
            source.carve.shares, {role: Counter(flat(names)) for role, (_, names) in rows.items()}
        )
    if reading.columns.task == "text":
        pairs = reading.columns.pair is not None
        answer["warnings"] += [warning for role in rows for warning in _blank(role, masks[role], found, pairs=pairs)]
    return rows, answer


def _chosen(
    role: str, masks: Mapping[Path, bytes], found: Mapping[Path, _FileRows], reading: _Reading
) -> tuple[DatasetInputs, LabelStrings]:
    """The inputs and labels of a split; DatasetInvalid for one without rows."""
    labels = [label for file, mask in masks.items() for label in compress(found[file].labels, mask)]
    if not labels:
        raise DatasetInvalid(f"The {role} split has no rows.", pointer=f"{POINTER}/splits/{role}")
    inputs: list[Any] = [batch for file, mask in masks.items() for batch in _of_batches(found[file].inputs, mask)]
    if reading.columns.task == "text":
        return [text for batch in inputs for text in batch], labels
    return joined(inputs, reading.columns.input), labels


def _of_batches(batches: Sequence[DatasetInputs], mask: bytes) -> Iterator[Any]:
    """What a mask leaves of batches that follow one another."""
    at = 0
    for batch in batches:
        part = mask[at : at + len(batch)]
        at += len(batch)
        if isinstance(batch, np.ndarray):
            yield batch[np.frombuffer(part, np.bool_)]
        else:
            yield list(compress(batch, part))


def _blank(role: str, masks: Mapping[Path, bytes], found: Mapping[Path, _FileRows], *, pairs: bool) -> list[str]:
    inputs: Iterator[Any] = (given for file in masks for batch in found[file].inputs for given in batch)
    there = (owned for mask in masks.values() for owned in mask)
    rows = enumerate(zip(inputs, there, strict=True))
    empty = [row for row, (given, owned) in rows if owned and not all(map(str.strip, given if pairs else [given]))]
    return blank_texts(role, len(empty), empty, pairs=pairs)


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
    """How the batches of a file become inputs."""

    columns: Columns
    model: ModelInfo
    folder: Path

    def inputs(self, batch: pa.Array) -> DatasetInputs:
        """What the model reads; of images, those that are there."""
        if self.columns.task == "image":
            return stored_images(batch.drop_null(), self.columns.input, self.model.image_shape or [], self.folder)
        texts: list[Any] = [values.to_pylist() for values in self.columns.split(batch).values()]
        return texts[0] if self.columns.pair is None else list(zip(*texts, strict=True))


@dataclass(frozen=True)
class _FileRows:
    """All rows of a file, the inputs batch by batch, and how many values each column misses."""

    inputs: list[DatasetInputs]
    labels: list[Any]
    missing: Counter[str]

    def line(self) -> pa.Array:
        """The label of each row, or all that it has as one text."""
        lists = bool(self.labels) and isinstance(self.labels[0], list)
        return together(pa.array(self.labels)) if lists else pa.array(self.labels, pa.large_string())


def _collect(batches: Iterable[tuple[pa.Array, pa.Array]], reading: _Reading) -> _FileRows:
    rows = _FileRows([], [], Counter())
    for inputs, labels in batches:
        read = reading.columns.split(inputs) | {reading.columns.label: labels}
        rows.missing.update({column: values.null_count for column, values in read.items()})
        rows.inputs.append(reading.inputs(inputs))
        rows.labels.extend(labels.to_pylist())
    return rows
