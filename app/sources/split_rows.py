"""Which rows of its files each split has: all, those of a slice, or those that are carved out of `train`.

The web service and the workers choose here, by the labels as strings, so that both choose the same rows.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from app.domain.errors import DatasetInvalid
from app.sources.splits import POINTER, File, SplitFiles
from microlith.contract import Carve

_TRAIN = 1
_KEY_BYTES = 8
_PARTS = 1_000_000
"""A fraction is taken to so many parts."""

Masks = dict[str, dict[File, bytes]]
"""Role to files, and of each file a byte for each row: 1 where the split has it."""


def choose_rows(
    splits: Mapping[str, SplitFiles[File]], carve: Carve | None, labels: Mapping[File, pa.DictionaryArray]
) -> Masks[File]:
    """The rows that each split has of its files. `labels` are all labels of each file, in its order.

    A split with the files and the slice of `train` has what carving leaves of it. Raises DatasetInvalid for a slice
    that goes beyond its rows, and for a split without rows.
    """
    lengths = {role: [len(labels[file]) for file in split.files] for role, split in splits.items()}
    masks = {role: _sliced(role, split, sum(lengths[role])) for role, split in splits.items()}
    if carve is not None:
        train = splits["train"]
        owners = carve_rows(_ranks([labels[file] for file in train.files]), masks["train"], carve)
        numbers = {role: number for number, role in enumerate(carve.shares, _TRAIN + 1)}
        for role in [role for role, split in splits.items() if role in numbers or split == train]:
            masks[role] = bytes(owners.translate(bytes(owner == numbers.get(role, _TRAIN) for owner in range(256))))
            if not any(masks[role]):
                where = f"/{role}" if role in numbers else ""
                raise DatasetInvalid(
                    f"`carve` gives the {role} split none of {len(owners):,} rows.",
                    hint="Give other fractions.",
                    pointer=f"{POINTER}/carve{where}",
                )
    return {role: _by_file(splits[role].files, lengths[role], mask) for role, mask in masks.items()}


def carve_rows(ranks: pa.Array, inside: bytes, carve: Carve) -> bytearray:
    """Who has each row: 0 nobody, 1 train, and from 2 on the splits of `carve` in its order.

    Rows `inside` are put in the order of their labels (`ranks`), and those of a label in an order that the seed
    decides. Of this line each split takes rows at equal distances: of each label, its fraction or one row more or less.
    """
    keys = hashlib.shake_128(str(carve.seed).encode()).digest(_KEY_BYTES * len(ranks))
    table = pa.table(
        {"label": ranks, "key": pa.Array.from_buffers(pa.uint64(), len(ranks), [None, pa.py_buffer(keys)])}
    )
    order = pc.sort_indices(table, sort_keys=[("label", "ascending"), ("key", "ascending")])
    line = memoryview(order.buffers()[1]).cast("Q")[: len(ranks)]
    owners, left = bytearray(inside), Fraction(1)
    for number, share in enumerate(carve.shares.values(), _TRAIN + 1):
        whole = Fraction(share).limit_denominator(_PARTS)
        (part, parts), seen = (whole / left).as_integer_ratio(), 0
        for row in line:
            if owners[row] == _TRAIN:
                seen += 1
                if seen * part // parts > (seen - 1) * part // parts:
                    owners[row] = number
        left -= whole
    return owners


def bits(mask: bytes) -> pa.BooleanArray:
    """A mask as Arrow filters by it."""
    return pa.Array.from_buffers(pa.uint8(), len(mask), [None, pa.py_buffer(mask)]).cast(pa.bool_())


def whole_numbers(values: Sequence[int]) -> pa.Array:
    """Numbers of 32 bits, by their bytes: `pa.array` imports pandas to look at a list."""
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(array("i", values))])


def _sliced(role: str, split: SplitFiles[File], count: int) -> bytes:
    if split.slice is None:
        return b"\1" * count
    try:
        rows = split.slice.rows(count)
    except ValueError as error:
        raise DatasetInvalid(
            f"The {role} split cannot be cut so: {error}.",
            hint="A slice is written in rows or in percent: train[:100], train[80%:].",
            pointer=f"{POINTER}/splits/{role}",
        ) from error
    return b"\0" * rows.start + b"\1" * len(rows) + b"\0" * (count - rows.stop)


def _ranks(labels: Sequence[pa.DictionaryArray]) -> pa.Array:
    """The place of every row's label in the order of all labels."""
    names = [part.dictionary.to_pylist() for part in labels]
    ranks = {name: rank for rank, name in enumerate(sorted({name for part in names for name in part}))}
    return pa.concat_arrays(
        [
            whole_numbers([ranks[name] for name in known]).take(part.indices)
            for known, part in zip(names, labels, strict=True)
        ]
    )


def _by_file(files: Sequence[File], lengths: Sequence[int], mask: bytes) -> dict[File, bytes]:
    parts, at = {}, 0
    for file, length in zip(files, lengths, strict=True):
        parts[file] = mask[at : at + length]
        at += length
    return parts
