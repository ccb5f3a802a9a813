"""The headers of safetensors files: every tensor's name, type and shape without reading the weights.

Format: 8 bytes little-endian length, that many bytes of JSON, then the tensors (huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from app.domain.errors import UnsafeModel, UnsupportedModel
from app.sources.places import Stamp, sha256, stamp

MAX_HEADER_BYTES = 100 * 1024 * 1024
MAX_SHARDS = 1000
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})


@dataclass(frozen=True)
class Weights:
    """All tensors of a model, by name, and the identity of the files that hold them."""

    shapes: dict[str, tuple[int, ...]]
    size_bytes: int
    sha256: str

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_weights(folder: Path, *, pointer: str) -> Weights:
    """The weights of a model folder; several shards are one identity, the sha256 of their digests in order.

    Raises UnsafeModel where only pickles are found, UnsupportedModel where there is nothing or nothing readable.
    """
    files = weight_files(folder, pointer=pointer)
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        shapes |= _read(file, pointer)
    digests = [sha256(stamp(file)) for file in files]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Weights(shapes, sum(file.stat().st_size for file in files), whole)


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
    found = set(names)
    if found.isdisjoint({SINGLE, INDEX}) and any(PurePath(name).suffix in _PICKLED for name in found):
        raise UnsafeModel(
            "The model's weights are pickled; opening a pickle can run code.",
            hint="Convert once: load the model where you trust it and call save_pretrained, which writes safetensors.",
            pointer=pointer,
        )


def _shards(folder: Path, pointer: str) -> list[Path]:
    try:
        names = sorted(set(json.loads((folder / INDEX).read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedModel(f"{INDEX} cannot be read: {error}.", pointer=pointer) from error
    strange = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    missing = [name for name in names if not (folder / name).is_file()]
    if strange or missing or not 0 < len(names) <= MAX_SHARDS:
        faults = f"no safetensors files: {strange}" if strange else f"missing: {missing}" if missing else "no shards"
        raise UnsupportedModel(f"{INDEX} names files that cannot be used ({faults}).", pointer=pointer)
    return [folder / name for name in names]


def _read(file: Path, pointer: str) -> dict[str, tuple[int, ...]]:
    try:
        return _header(stamp(file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnsupportedModel(
            f"{file.name} is not a whole safetensors file: {error}.",
            hint="It may be cut short, or a Git LFS pointer instead of the weights.",
            pointer=pointer,
        ) from error


@lru_cache(maxsize=256)
def _header(file: Stamp) -> dict[str, tuple[int, ...]]:
    """Name to shape. ValueError when lengths and offsets do not fit the file."""
    with file.path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if file.size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, file.size - 8):
            raise ValueError("its header is longer than it may be")
        tensors: dict[str, Any] = json.loads(stream.read(length))
    tensors.pop("__metadata__", None)
    ends = [int(tensor["data_offsets"][1]) for tensor in tensors.values()]
    if 8 + length + max(ends, default=0) != file.size:
        raise ValueError(f"it should have {8 + length + max(ends, default=0)} bytes and has {file.size}")
    return {name: tuple(int(side) for side in tensor["shape"]) for name, tensor in tensors.items()}
