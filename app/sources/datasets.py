"""Datasets known without loading them whole: columns, and per split the rows and how many of each label."""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid
from app.sources.allowed_paths import Allowed
from app.sources.columns import Columns, blank_rows, check_pixels, check_types, choose_columns, refuse_missing
from app.sources.csv_form import CsvAsked
from app.sources.data_warnings import FIRST_ROWS, blank_texts, labels_lost, second_text, shared_rows
from app.sources.first_rows import first_rows
from app.sources.label_lists import apart, together
from app.sources.labels import class_names_of
from app.sources.licences import licence_of
from app.sources.reference_files import Stamp, dataset_place, stamp
from app.sources.reference_files import sha256 as file_sha256
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.short_texts import shorten
from app.sources.size_limits import MAX_LABELS, MAX_LABELS_CHARACTERS, MAX_ROWS, MAX_WARNINGS, POINTER, within
from app.sources.split_rows import bits, choose_rows
from app.sources.splits import SplitFiles, split_files
from app.sources.table_schema import TableSchema
from app.sources.tables import read_labels, read_rows, read_schema, warnings_of
from microlith.contract import DatasetInfo, DatasetSpec, ModelInfo
from microlith.contract.catalog import SplitInfo

_FIRST_ROWS = 16


@dataclass(frozen=True)
class LocalDataset:
    """Files per role and the columns to read of them; every file has these columns, of types that can be used."""

    ref: Reference
    place: Path
    splits: dict[str, SplitFiles[Path]]
    columns: Columns
    schema: TableSchema
    class_names: list[str] | None
    """Names of the label column's ids, where the data states them."""
    asked: CsvAsked
    warnings: list[str]
    """What the owner of the data should be told of it."""

    @property
    def sha256(self) -> str:
        """The sha256 of the files' digests, role by role: changed data is other data."""
        digests = [file_sha256(stamp(file)) for role in sorted(self.splits) for file in self.splits[role].files]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    @property
    def files(self) -> list[Path]:
        """Each of them once."""
        return list(dict.fromkeys(file for split in self.splits.values() for file in split.files))


def describe_dataset(
    source: DatasetSpec,
    roles: Iterable[str],
    *,
    model: ModelInfo | None = None,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
) -> DatasetInfo | None:
    """The dataset behind a `demo:` or `path:` reference or an upload, with the splits of `roles`; None for `hub:`.

    Inputs are what `model` reads; without one they are texts, or images where there are no texts. Raises
    DatasetInvalid, naming the columns, files or splits there are, for data that cannot be used.
    """
    ref = parse(source.ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf)
    return None if ref.kind == "hub" else describe_files(source, ref, roles, model)


def describe_files(source: DatasetSpec, ref: Reference, roles: Iterable[str], model: ModelInfo | None) -> DatasetInfo:
    """The same for a reference that has been parsed, to data on this disk.

    At most MAX_LABELS different labels and MAX_COLUMNS columns are told; ResourceLimit where there are more.
    """
    local = _opened(source, ref, roles, model)
    columns = local.columns
    if columns.task == "image":
        for file in local.files:
            _check_first_rows(file, local, model)
    licence = licence_of(local.ref, local.place)
    counted = {file: _count(stamp(file), columns, local.asked) for file in local.files}
    rows = choose_rows(local.splits, source.carve, {file: count.labels for file, count in counted.items()})
    splits = {role: _split_info(local, role, rows[role], counted) for role in local.splits}
    _check_labels({label for split in splits.values() for label in split.labels})
    warnings = [*local.warnings, *shared_rows(rows)]
    warnings += (
        labels_lost(source.carve.shares, {role: split.labels for role, split in splits.items()}) if source.carve else []
    )
    pairs = columns.pair is not None
    warnings += [warning for role in splits for warning in _blank_texts(role, rows[role], counted, pairs=pairs)]
    return DatasetInfo(
        id=source.ref,
        name=local.ref.title,
        revision=None,
        sha256=local.sha256,
        columns={name: shorten(str(kind)) for name, kind in local.schema.types.items()},
        text_column=columns.input if columns.task == "text" else None,
        text_pair_column=columns.pair,
        image_column=columns.input if columns.task == "image" else None,
        label_column=None if source.label_columns else columns.label,
        label_columns=source.label_columns,
        class_names=local.class_names,
        splits=splits,
        first_rows=first_rows(local.files[0], local.schema, columns, local.asked),
        size_bytes=sum(file.stat().st_size for file in local.files),
        licence=licence.name if licence else None,
        warnings=warnings[:MAX_WARNINGS],
    )


def _opened(source: DatasetSpec, ref: Reference, roles: Iterable[str], model: ModelInfo | None) -> LocalDataset:
    place = dataset_place(ref, pointer=POINTER)
    splits = split_files(place, source, roles)
    asked = CsvAsked.of(source)
    different = list(dict.fromkeys(file for split in splits.values() for file in split.files))
    schemas = [read_schema(file, asked) for file in different]
    if not schemas:
        raise DatasetInvalid("The request names no split.", pointer=POINTER)
    columns = choose_columns(source, schemas[0], model)
    for schema in schemas:
        check_types(schema, columns, model.image_shape if model else None)
    stated = [schema.class_names.get(columns.label) for schema in schemas]
    class_names = class_names_of(stated, model.labels if model else None)
    warnings = [warning for file in different for warning in warnings_of(file, asked)]
    warnings += second_text(schemas[0].types, columns.input, columns.label) if columns.single_texts else []
    return LocalDataset(ref, place, splits, columns, schemas[0], class_names, asked, warnings)


def _split_info(
    local: LocalDataset, role: str, masks: Mapping[Path, bytes], counted: Mapping[Path, _Counted]
) -> SplitInfo:
    counts: Counter[str] = Counter()
    rows = 0
    for file, mask in masks.items():
        labels = counted[file].labels
        names = [apart(name) if local.columns.several else [name] for name in labels.dictionary.to_pylist()]
        for entry in pc.value_counts(labels.indices.filter(bits(mask))).to_pylist():
            counts.update(dict.fromkeys(names[entry["values"]], entry["counts"]))
            rows += entry["counts"]
        _check_labels(counts)
    within(rows, MAX_ROWS, f"The {role} split has {rows:,} rows", "Use fewer rows: a sample is enough.")
    if not rows:
        raise DatasetInvalid(f"The {role} split has no rows.", pointer=f"{POINTER}/splits/{role}")
    order = (local.columns.labels if local.columns.in_columns else local.class_names) or _in_order(counts)
    labels = {name: counts[name] for name in [*order, *sorted(set(counts) - set(order))]}
    return SplitInfo(rows=rows, labels=labels)


def _blank_texts(role: str, masks: Mapping[Path, bytes], counted: Mapping[Path, _Counted], *, pairs: bool) -> list[str]:
    """What there is to say of a split's empty texts, its files taken together."""
    first: list[int] = []
    blank = before = 0
    for file, mask in masks.items():
        there = [row for row in counted[file].blank if mask[row]]
        first += [before + row for row in there[: FIRST_ROWS - len(first)]]
        blank, before = blank + len(there), before + len(mask)
    return blank_texts(role, blank, first, pairs=pairs)


def _check_labels(labels: Collection[str]) -> None:
    """ResourceLimit where all labels of a data set are more than can be told."""
    within(
        len(labels), MAX_LABELS, f"The data has {len(labels):,} different labels", "Check that it is the label column."
    )
    characters, what = sum(map(len, labels)), "The different labels have {:,} characters together"
    within(characters, MAX_LABELS_CHARACTERS, what.format(characters), "Check that it is the label column.")


def _in_order(labels: Iterable[str]) -> list[str]:
    return sorted(labels, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))


def _check_first_rows(file: Path, local: LocalDataset, model: ModelInfo | None) -> None:
    """DatasetInvalid where the first images of a file are not as large as the model's."""
    columns = local.columns
    batches = read_rows(
        file, columns.inputs, columns.label, several=columns.several, rows=_FIRST_ROWS, asked=local.asked
    )
    for images, _ in itertools.islice(batches, 1):
        check_pixels(images, columns.input, model.image_shape if model else None)


@dataclass(frozen=True)
class _Counted:
    """Every row's label, or all that it has as one text (see `together`), and the places of empty texts."""

    labels: pa.DictionaryArray
    blank: array[int]


_ENCODED = pa.dictionary(pa.int32(), pa.large_string())


@lru_cache(maxsize=64)
def _count(file: Stamp, columns: Columns, asked: CsvAsked) -> _Counted:
    """Labels and empty texts of a file; DatasetInvalid with the count where texts or labels are missing.

    Images are not read for it; the worker, which reads them, says where they are missing.
    """
    names: set[str] = set()
    encoded = [pa.nulls(0, _ENCODED)]
    missing = dict.fromkeys([*columns.inputs, columns.label], 0)
    blank, rows = array("q"), 0
    for inputs, labels in _read(file.path, columns, asked):
        texts = {} if inputs is None else columns.split(inputs)
        for column, values in (texts | {columns.label: labels}).items():
            missing[column] += values.null_count
        blank.extend(rows + row for row in blank_rows(texts.values()))
        rows += len(labels)
        encoded.append((together(labels) if columns.several else labels).dictionary_encode())
        names.update(encoded[-1].dictionary.to_pylist())
        if len(names) > MAX_LABELS and not columns.several:
            raise DatasetInvalid(
                f"Column {columns.label} of {file.path.name} has more than {MAX_LABELS:,} different values. "
                "Check that it is the label column.",
                pointer=f"{POINTER}/label_column",
            )
    refuse_missing(missing, file.path.name, listed=columns.listed)
    unified = pa.chunked_array([part.cast(_ENCODED) for part in encoded]).unify_dictionaries()
    return _Counted(pa.concat_arrays(unified.chunks), blank)


def _read(file: Path, columns: Columns, asked: CsvAsked) -> Iterator[tuple[pa.Array | None, pa.Array]]:
    if columns.task == "text":
        yield from read_rows(file, columns.inputs, columns.label, several=columns.several, asked=asked)
    else:
        yield from ((None, labels) for labels in read_labels(file, columns.label, asked, columns.several))
