"""Masks: what is kept of each layer, packed to bits; with its base model, the whole identity of a module."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from worker.families.layers import linear

Kept = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Bits:
    """A boolean array, eight to a byte: True is kept."""

    shape: tuple[int, ...]
    packed: bytes

    @classmethod
    def pack(cls, kept: Kept) -> Bits:
        """The packed form of any boolean array."""
        return cls(kept.shape, np.packbits(kept).tobytes())

    def unpack(self) -> Kept:
        """The array as it was packed."""
        size = int(np.prod(self.shape))
        return np.unpackbits(np.frombuffer(self.packed, np.uint8), count=size).astype(bool).reshape(self.shape)

    @property
    def size(self) -> int:
        """Units, kept and removed."""
        return int(np.prod(self.shape))

    @property
    def kept(self) -> int:
        """Units kept."""
        return int(np.bitwise_count(np.frombuffer(self.packed, np.uint8)).sum())


@dataclass(frozen=True)
class Mask:
    """What is kept, per layer.

    Structure `weights`: [out, in] of each pruned layer. Structure `neurons`: [neurons] of each intermediate layer,
    with `readers` naming the output layer that reads them.
    """

    structure: Literal["weights", "neurons"]
    layers: Mapping[str, Bits]
    readers: Mapping[str, str] = field(default_factory=dict)

    @property
    def achieved(self) -> float:
        """The fraction of units removed, over all layers of the mask."""
        size = sum(bits.size for bits in self.layers.values())
        return 1.0 - sum(bits.kept for bits in self.layers.values()) / size

    def digest(self) -> str:
        """sha256 of the canonical bytes: equal masks have equal digests, in whatever order their layers stand."""
        shapes = {name: self.layers[name].shape for name in sorted(self.layers)}
        header = json.dumps([self.structure, shapes, dict(self.readers)], sort_keys=True, separators=(",", ":"))
        sha256 = hashlib.sha256(header.encode())
        for name in sorted(self.layers):
            sha256.update(self.layers[name].packed)
        return sha256.hexdigest()


def lowest(scores: Scores, counts: Sequence[int]) -> list[Kept]:
    """For each count: what is kept [rows, in] when every row loses its `count` lowest scores, ties by lower index.

    The same as a stable ascending sort of every row. One sort of the values serves all counts, ten times faster than
    sorting indices.
    """
    ascending = np.sort(scores, axis=1)
    return [_above(scores, ascending[:, count - 1 : count], count) for count in counts]


def _above(scores: Scores, threshold: Scores, count: int) -> Kept:
    if count == 0:
        return np.ones_like(scores, dtype=bool)
    kept = scores > threshold  # [rows, in]
    tied = np.flatnonzero((~kept).sum(axis=1) > count)
    for row in tied:
        equal = np.flatnonzero(scores[row] == threshold[row])
        kept[row, equal[count - int((scores[row] < threshold[row]).sum()) :]] = True
    return kept


@contextmanager
def applied(model: nn.Module, mask: Mask) -> Iterator[nn.Module]:
    """The live model with the mask's weights at zero. On leaving, its own tensors are back, never having been written.

    Removed neurons lose the rows and biases of the layer that writes them and the columns of the one that reads them.
    """
    with ExitStack() as restore:
        for name, bits in mask.layers.items():
            kept = torch.from_numpy(bits.unpack())
            writer = linear(model, name)
            if mask.structure == "weights":
                _swap(writer.weight, kept, restore)
                continue
            _swap(writer.weight, kept.unsqueeze(1), restore)
            if writer.bias is not None:
                _swap(writer.bias, kept, restore)
            _swap(linear(model, mask.readers[name]).weight, kept, restore)
        yield model


def _swap(parameter: Tensor, kept: Tensor, restore: ExitStack) -> None:
    """Puts a masked copy in the parameter's place until `restore` unwinds; `kept` broadcasts over it."""
    own = parameter.data
    restore.callback(setattr, parameter, "data", own)
    parameter.data = own.masked_fill(~kept.to(own.device), 0.0)
