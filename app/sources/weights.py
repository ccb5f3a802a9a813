"""The headers of safetensors files: every tensor's name, type and shape without reading the weights.

Format: 8 bytes little-endian length, that many bytes of JSON, then the tensors (huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from app.domain.errors import ResourceLimit, UnsafeModel, UnsupportedModel
from app.sources.json_file import is_count, parse_object, read_object
from app.sources.reference_files import sha256, stamp
from app.sources.safetensors_header import MAX_TENSORS, Shapes, shapes_in
from app.sources.short_texts import list_first, quote
from microlith.contract.options import NumberType

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""Of all the headers of a model together; a large real model's are a hundredth of it."""

MAX_INDEX_BYTES = 16 * 1024 * 1024
MAX_SHARDS = 1000
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_NUMBER_TYPES: dict[str, NumberType] = {"BF16": "bfloat16", "F16": "float16"}
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})


@dataclass(frozen=True)
class Weights:
    """All tensors of a model, by name, and the identity of the files that hold them."""

    shapes: Shapes
    types: dict[str, str]
    size_bytes: int
    sha256: str

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def number_type(self) -> NumberType:
        """The type of all tensors that are not whole numbers; float32 where they are of several, or of another."""
        kinds = {kind for kind in self.types.values() if "F" in kind}
        return _NUMBER_TYPES.get(kinds.pop(), "float32") if len(kinds) == 1 else "float32"


def read_weights(folder: Path, *, pointer: str) -> Weights:
    """The weights of a model folder; several shards are one identity, the sha256 of their digests in order.

    Raises UnsafeModel where only pickles are found, UnsupportedModel where there is nothing or nothing readable, and
    ResourceLimit for headers, or a number of tensors, beyond the bounds.
    """
    files = weight_files(folder, pointer=pointer)
    shapes: Shapes = {}
    types: dict[str, str] = {}
    left = MAX_HEADER_BYTES
    for file in files:
        header = _header(file, left, pointer)
        left -= len(header)
        found = _tensors(file, header, pointer)
        shapes |= found[0]
        types |= found[1]
        if len(shapes) > MAX_TENSORS:
            raise ResourceLimit(f"The model has more than {MAX_TENSORS:,} tensors.", pointer=pointer)
    digests = [sha256(stamp(file)) for file in files]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Weights(shapes, types, sum(file.stat().st_size for file in files), whole)


def weight_files(folder: Path, *, pointer: str) -> list[Path]:
    """The safetensors files of a model folder: the single one, or the shards its index names, in order of name."""
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if (folder / INDEX).is_file():
        return _shards(folder, pointer)
    refuse_pickles([file.name for file in folder.iterdir()] if folder.is_dir() else [], pointer=pointer)
    raise UnsupportedModel(f"The model has no weights: neither {SINGLE} nor {INDEX}.", pointer=pointer)


def refuse_pickles(names: Iterable[str], *, pointer: str) -> None:
    """UnsafeModel where pickles are all the weights among the names of a model's files."""
    file_names = set(names)
    if file_names.isdisjoint({SINGLE, INDEX}) and any(PurePath(name).suffix in _PICKLED for name in file_names):
        raise UnsafeModel(
            "The model's weights are pickled. Opening a pickle can run code.",
            hint="Convert the model: load it where you trust it and call save_pretrained, which writes safetensors.",
            pointer=pointer,
        )


def _shards(folder: Path, pointer: str) -> list[Path]:
    try:
        named = read_object(folder / INDEX, MAX_INDEX_BYTES).get("weight_map")
    except ValueError as error:
        raise UnsupportedModel(f"{INDEX} cannot be read: {error}.", pointer=pointer) from error
    files: list[Any] = list(named.values()) if isinstance(named, dict) else []
    strange = [name for name in files if not _is_shard(name)]
    names = [] if strange else sorted(set(files))
    missing = [name for name in names if not (folder / name).is_file()]
    if strange or missing or not 0 < len(names) <= MAX_SHARDS:
        faults = f"{'no safetensors files' if strange else 'missing'}: {list_first(strange or missing, quote)}"
        count = f"{len(names):,} shards" if len(names) > MAX_SHARDS else "no shards"
        raise UnsupportedModel(
            f"{INDEX} names files that cannot be used ({faults if strange or missing else count}).", pointer=pointer
        )
    return [folder / name for name in names]


def _is_shard(name: object) -> bool:
    """Whether it is the plain name of a safetensors file."""
    if not isinstance(name, str) or not name.isprintable() or len(name.encode()) > 255:
        return False
    return PurePath(name).name == name and "\\" not in name and name.endswith(".safetensors")


def _header(file: Path, most: int, pointer: str) -> bytes:
    """The header's JSON; UnsupportedModel where the file is shorter than it says, ResourceLimit beyond `most` bytes."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not is_count(length, 2, size - 8):
            raise _not_whole(file, ValueError("its header is missing, or longer than the file"), pointer)
        if length > most:
            raise ResourceLimit(
                f"The headers of the weights have more than {MAX_HEADER_BYTES:,} bytes.", pointer=pointer
            )
        return stream.read(length)


def _tensors(file: Path, header: bytes, pointer: str) -> tuple[Shapes, dict[str, str]]:
    """The shapes and the types of a file's tensors, by name."""
    try:
        told = parse_object(header)
        shapes = shapes_in(told, file.stat().st_size - 8 - len(header))
        return shapes, {name: told[name]["dtype"] for name in shapes}
    except ValueError as error:
        raise _not_whole(file, error, pointer) from error


def _not_whole(file: Path, error: ValueError, pointer: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"{file.name} is not a whole safetensors file: {error}.",
        hint="It may be cut short, or be a Git LFS pointer instead of the weights.",
        pointer=pointer,
    )
