"""Masks: what is kept of each layer, packed to bits; with its base model, the whole identity of a module."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from microlith.contract.methods import Structure
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.depth import take_out

Kept = npt.NDArray[np.bool_]
ParameterValues = npt.NDArray[np.float32]
Named = TypeVar("Named")


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
    """What is kept, by layer, block or stack of blocks. What it does not name is kept whole.

    `weights`: [out, in] of a layer. `neurons` and `heads`: one bit each, of a block's feed-forward or attention part.
    `layers`: one bit for each block of a stack, which is the list that the blocks stand in. `tensors`: what stands in
    the place of whole parameters, by the base's name and in its shape; zeros where something is removed.
    """

    structure: Structure
    weights: Mapping[str, Bits] = field(default_factory=dict)
    neurons: Mapping[str, Bits] = field(default_factory=dict)
    heads: Mapping[str, Bits] = field(default_factory=dict)
    layers: Mapping[str, Bits] = field(default_factory=dict)
    tensors: Mapping[str, ParameterValues] = field(default_factory=dict)

    @property
    def parts(self) -> dict[str, Mapping[str, Bits]]:
        """The bits of every kind of unit, by its name."""
        return {"weights": self.weights, "neurons": self.neurons, "heads": self.heads, "layers": self.layers}

    @property
    def achieved(self) -> float:
        """The fraction of units removed, over all units of the mask: each part of a chain counts by its units."""
        units = [bits for part in self.parts.values() for bits in part.values()]
        return 1.0 - sum(bits.kept for bits in units) / sum(bits.size for bits in units)

    @property
    def blocks_gone(self) -> frozenset[str]:
        """The removed blocks, by dotted name."""
        return frozenset(
            f"{stack}.{place}" for stack, bits in self.layers.items() for place in np.flatnonzero(~bits.unpack())
        )

    def digest(self) -> str:
        """sha256 of the canonical bytes: equal masks have equal digests, in whatever order their layers stand."""
        shapes = {kind: {name: part[name].shape for name in sorted(part)} for kind, part in self.parts.items()}
        header = [self.structure, shapes, {name: self.tensors[name].shape for name in sorted(self.tensors)}]
        sha256 = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
        for part in self.parts.values():
            for name in sorted(part):
                sha256.update(part[name].packed)
        for name in sorted(self.tensors):
            sha256.update(self.tensors[name].astype("<f4").tobytes())
        return sha256.hexdigest()


@contextmanager
def applied(model: nn.Module, mask: Mask, anatomy: Anatomy) -> Iterator[nn.Module]:
    """The live model as the mask says. On leaving, its own tensors are back, never having been written.

    Removed neurons and heads lose the rows and biases of the layers that write them and the columns of the one that
    reads them. Removed blocks are not there, and those after them have other names.
    """
    with ExitStack() as restore:
        for name, kept in keeping(model, mask, anatomy).items():
            layer = linear(model, name)
            _swap(layer.weight, layer.weight.data.masked_fill(~kept.to(layer.weight.device), 0.0), restore)
        for name, rows in kept_rows(model, mask, anatomy).items():
            if (bias := linear(model, name).bias) is not None:
                _swap(bias, bias.data.masked_fill(~rows.to(bias.device), 0.0), restore)
        for name, values in mask.tensors.items():
            parameter = model.get_parameter(name)
            _swap(parameter, torch.from_numpy(values).to(parameter.device, parameter.dtype), restore)
        for stack, bits in mask.layers.items():
            take_out(model, stack, np.flatnonzero(bits.unpack()).tolist(), restore)
        yield model


def renumbered(mask: Mask) -> Mask:
    """The same by the names of a module that has the kept blocks alone."""

    def moved(part: Mapping[str, Named]) -> dict[str, Named]:
        return {new_name: value for name, value in part.items() if (new_name := name_in_module(mask, name)) is not None}

    parts = {kind: moved(part) for kind, part in mask.parts.items() if kind != "layers"}
    return Mask(mask.structure, **parts, tensors=moved(mask.tensors))


def name_in_module(mask: Mask, name: str) -> str | None:
    """What the module calls a part or tensor of its base; None where it went with its block."""
    for stack, bits in mask.layers.items():
        if name.startswith(f"{stack}."):
            number, _, rest = name.removeprefix(f"{stack}.").partition(".")
            kept = bits.unpack()
            if not kept[int(number)]:
                return None
            return ".".join(filter(None, (stack, str(int(kept[: int(number)].sum())), rest)))
    return name


def kept_blocks(anatomy: Anatomy, gone: Collection[str]) -> dict[str, Bits]:
    """The bits of the stack of blocks that loses some; nothing where none is gone."""
    return {anatomy.stack: Bits.pack(np.array([block not in gone for block in anatomy.blocks]))} if gone else {}


def keeping(model: nn.Module, mask: Mask, anatomy: Anatomy) -> dict[str, Tensor]:
    """Every layer that loses weights, with those it keeps: boolean, shaped so as to broadcast over [out, in]."""
    kept = {name: torch.from_numpy(bits.unpack()) for name, bits in mask.weights.items()}
    for name, rows in kept_rows(model, mask, anatomy).items():
        kept[name] = kept.get(name, _ALL) & rows.unsqueeze(1)
    for name, columns in kept_columns(model, mask, anatomy).items():
        kept[name] = kept.get(name, _ALL) & columns
    return kept


def kept_rows(model: nn.Module, mask: Mask, anatomy: Anatomy) -> dict[str, Tensor]:
    """The rows [out] that the layers which write neurons and heads keep."""
    rows: dict[str, Tensor] = {}
    for part in anatomy.feed_forwards:
        if part.block in mask.neurons:
            kept = torch.from_numpy(mask.neurons[part.block].unpack())
            for name, offset in anatomy.neuron_rows(part):
                rows.setdefault(name, _every(linear(model, name).out_features))[offset : offset + len(kept)] &= kept
    for attention in anatomy.attentions:
        if attention.block in mask.heads:
            removed = np.flatnonzero(~mask.heads[attention.block].unpack()).tolist()
            for name, gone in anatomy.head_rows(attention, *removed):
                rows.setdefault(name, _every(linear(model, name).out_features))[gone] = False
    return rows


def kept_columns(model: nn.Module, mask: Mask, anatomy: Anatomy) -> dict[str, Tensor]:
    """The columns [in] that the layers which read neurons and heads keep."""
    columns = {
        part.output: torch.from_numpy(mask.neurons[part.block].unpack())
        for part in anatomy.feed_forwards
        if part.block in mask.neurons
    }
    for attention in anatomy.attentions:
        if attention.block in mask.heads:
            kept = _every(linear(model, attention.output).in_features)
            for head in np.flatnonzero(~mask.heads[attention.block].unpack()).tolist():
                kept[anatomy.head_columns(attention, head)] = False
            columns[attention.output] = kept
    return columns


_ALL = torch.tensor(True)


def _every(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.bool)


def _swap(parameter: Tensor, value: Tensor, restore: ExitStack) -> None:
    """Puts `value` in the parameter's place until `restore` unwinds."""
    restore.callback(setattr, parameter, "data", parameter.data)
    parameter.data = value
