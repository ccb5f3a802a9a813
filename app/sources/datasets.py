"""Datasets known without loading them whole: columns, and per split the rows and how many of each label."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid
from app.sources import demo
from app.sources.columns import LABEL_COLUMNS, TEXT_COLUMNS, check_types, choose_column, refuse_missing
from app.sources.licences import licence_of
from app.sources.places import Stamp, dataset_place, stamp
from app.sources.places import sha256 as file_sha256
from app.sources.references import Reference, parse
from app.sources.splits import POINTER, ROLES, split_files
from app.sources.tables import Schema, read_rows, read_schema
from microlith.contract import DatasetInfo, DatasetSpec
from microlith.contract.catalog import SplitInfo

MAX_LABELS = 10_000


@dataclass(frozen=True)
class LocalDataset:
    """Files per role and the columns to read of them; every file has both columns, of types that can be used."""

    ref: Reference
    place: Path
    files: dict[str, list[Path]]
    text_column: str
    label_column: str
    schema: Schema

    @property
    def class_names(self) -> list[str] | None:
        """Names of the label column's ids, where the data states them."""
        return self.schema.class_names.get(self.label_column)

    @property
    def sha256(self) -> str:
        """The sha256 of the files' digests, role by role: changed data is other data."""
        digests = [file_sha256(stamp(file)) for role in sorted(self.files) for file in self.files[role]]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def describe_dataset(source: DatasetSpec, roles: Iterable[str], *, allow_paths: bool) -> DatasetInfo | None:
    """The dataset behind a `demo:` or `path:` reference, with the splits of `roles`; None for `hub:`.

    Raises DatasetInvalid, naming the columns, files or splits there are, for data that cannot be used.
    """
    local = open_dataset(source, roles, allow_paths=allow_paths)
    if local is None:
        return None
    licence = licence_of(local.ref, local.place)
    return DatasetInfo(
        id=source.ref,
        revision=None,
        sha256=local.sha256,
        columns={name: str(kind) for name, kind in local.schema.types.items()},
        text_column=local.text_column,
        label_column=local.label_column,
        class_names=local.class_names,
        splits={role: _split_info(local, role) for role in local.files},
        size_bytes=sum(file.stat().st_size for file in {file for files in local.files.values() for file in files}),
        licence=licence.name if licence else None,
    )


def open_dataset(source: DatasetSpec, roles: Iterable[str], *, allow_paths: bool) -> LocalDataset | None:
    """The files and columns of a dataset on this disk, checked by their schemas alone; None for `hub:`."""
    ref = parse(source.ref, pointer=POINTER, allow_paths=allow_paths)
    if ref.kind == "hub":
        return None
    place = dataset_place(ref, pointer=POINTER)
    files = split_files(place, source.splits, roles)
    schemas = [read_schema(file) for shards in files.values() for file in shards]
    if not schemas:
        raise DatasetInvalid("No split was asked for.", pointer=POINTER)
    text = choose_column(source.text_column, TEXT_COLUMNS, schemas[0], "text_column")
    label = choose_column(source.label_column, LABEL_COLUMNS, schemas[0], "label_column")
    for schema in schemas:
        check_types(schema, text, label)
    return LocalDataset(ref, place, files, text, label, schemas[0])


def known_datasets() -> list[DatasetInfo]:
    """The datasets anyone may name: the demo's, with all their splits."""
    specs = [DatasetSpec(ref=f"demo:{name}") for name in sorted(demo.DATASETS)]
    found = (describe_dataset(spec, ROLES, allow_paths=False) for spec in specs)
    return [info for info in found if info]


def _split_info(local: LocalDataset, role: str) -> SplitInfo:
    counts: Counter[str] = Counter()
    for file in local.files[role]:
        counts.update(_count(stamp(file), local.text_column, local.label_column))
    if not counts:
        raise DatasetInvalid(f"The {role} split has no rows.", pointer=f"{POINTER}/splits/{role}")
    order = local.class_names or _in_order(counts)
    labels = {name: counts[name] for name in [*order, *sorted(set(counts) - set(order))]}
    return SplitInfo(rows=sum(counts.values()), labels=labels)


def _in_order(labels: Iterable[str]) -> list[str]:
    return sorted(labels, key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))


@lru_cache(maxsize=64)
def _count(file: Stamp, text_column: str, label_column: str) -> dict[str, int]:
    """How many rows of each label; DatasetInvalid with the count where texts or labels are missing."""
    counts: Counter[str] = Counter()
    missing = {text_column: 0, label_column: 0}
    for texts, labels in read_rows(file.path, text_column, label_column):
        missing[text_column] += texts.null_count
        missing[label_column] += labels.null_count
        for entry in pc.value_counts(labels.drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
        if len(counts) > MAX_LABELS:
            raise DatasetInvalid(
                f"Column {label_column} of {file.path.name} has more than {MAX_LABELS} different values; "
                "is it the label column?",
                pointer=f"{POINTER}/label_column",
            )
    refuse_missing(missing, file.path.name)
    return dict(counts)
