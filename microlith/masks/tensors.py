"""What a mask makes of its base's tensors, and the digest that tells tensors apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from microlith.errors import InvalidMask
from microlith.masks.document import MaskedLayers, MaskedUnits

if TYPE_CHECKING:
    from torch import Tensor

    from microlith.masks.file import MaskFile


def digest(tensors: Mapping[str, str]) -> str:
    """The sha256 of tensors, given as `tensor_digest` tells each: of the lines `NAME DIGEST`, sorted by name."""
    lines = "".join(f"{name} {tensors[name]}\n" for name in sorted(tensors))
    return hashlib.sha256(lines.encode()).hexdigest()


def tensor_digest(tensor: Tensor) -> str:
    """`DTYPE [SHAPE] SHA256`: of the tensor's bytes, little-endian, row by row."""
    import torch

    plain = tensor.detach().cpu().contiguous()
    content = hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().data)
    return f"{str(plain.dtype).removeprefix('torch.')} {list(plain.shape)} {content.hexdigest()}"


def masked(base: Mapping[str, Tensor], mask: MaskFile) -> dict[str, Tensor]:
    """The module's tensors by name; those the mask leaves alone are the base's own. Raises InvalidMask."""
    try:
        tensors = _zero_what_is_removed(base, mask)
        if mask.document.stored is not None:
            for units in mask.document.neurons:
                _shrink(tensors, units, kept_units(mask, "neurons", units), mask.document.stored)
        for layers in mask.document.layers:
            tensors = _close_ranks(tensors, layers.stack, kept_blocks(mask, layers))
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        reason = f"it does not fit its base: {type(error).__name__}: {error}"
        raise InvalidMask(mask.name, reason) from error
    replaced = {name.removeprefix("tensors/"): t for name, t in mask.stored.items() if name.startswith("tensors/")}
    device = next(iter(base.values())).device
    return tensors | {name: tensor.to(device) for name, tensor in replaced.items()}


def kept_units(mask: MaskFile, kind: str, units: MaskedUnits) -> Tensor:
    """Which units of a block are kept [count], on the CPU."""
    return _unpack_bits(mask.stored[f"{kind}/{units.block}"], units.count)


def kept_blocks(mask: MaskFile, layers: MaskedLayers) -> list[int]:
    """Which blocks of a list are kept, ascending."""
    kept: list[int] = _unpack_bits(mask.stored[f"layers/{layers.stack}"], layers.count).nonzero().flatten().tolist()
    return kept


def _close_ranks(tensors: Mapping[str, Tensor], stack: str, kept: Sequence[int]) -> dict[str, Tensor]:
    """The tensors without those of removed blocks; the kept blocks' take new numbers."""
    places = {str(old): new for new, old in enumerate(kept)}
    moved = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{stack}."):
            number, _, rest = name.removeprefix(f"{stack}.").partition(".")
            if number in places:
                moved[f"{stack}.{places[number]}.{rest}"] = tensor
        else:
            moved[name] = tensor
    return moved


def _zero_what_is_removed(base: Mapping[str, Tensor], mask: MaskFile) -> dict[str, Tensor]:
    """The base's tensors with zeros where the mask removes."""
    tensors = dict(base)
    for layer, (outputs, inputs) in mask.document.weights.items():
        kept = _unpack_bits(mask.stored[f"weights/{layer}"], outputs * inputs).reshape(outputs, inputs)
        _fill(tensors, f"{layer}.weight", kept)
    for kind, blocks in (("neurons", mask.document.neurons), ("heads", mask.document.heads)):
        for units in blocks:
            _zero_units(tensors, units, kept_units(mask, kind, units))
    return tensors


def _zero_units(tensors: dict[str, Tensor], units: MaskedUnits, kept: Tensor) -> None:
    import torch

    for writer in units.writers:
        rows = kept.reshape(-1, writer.share).any(1).repeat_interleave(units.width)
        outputs = tensors[f"{writer.layer}.weight"].shape[0]
        every = torch.ones(outputs, dtype=torch.bool)
        place = torch.arange(len(rows))
        every[writer.start + place + place // units.width * (writer.step - 1) * units.width] = rows
        _fill(tensors, f"{writer.layer}.weight", every.unsqueeze(1))
        if f"{writer.layer}.bias" in tensors:
            _fill(tensors, f"{writer.layer}.bias", every)
    _fill(tensors, f"{units.reader}.weight", kept.repeat_interleave(units.width))


def _shrink(tensors: dict[str, Tensor], units: MaskedUnits, kept: Tensor, stored: int) -> None:
    """Takes the removed neurons of a block out of its layers and fills up with zeros to `stored` of them."""
    indices = kept.nonzero().flatten()
    for layer in dict.fromkeys(writer.layer for writer in units.writers):
        starts = [writer.start for writer in units.writers if writer.layer == layer]
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name in tensors:
                tensors[name] = _select(tensors[name], (indices + start for start in starts), stored, 0)
    reader = f"{units.reader}.weight"
    tensors[reader] = _select(tensors[reader], [indices], stored, 1)


def _select(tensor: Tensor, groups: Iterable[Tensor], size: int, dim: int) -> Tensor:
    """The entries of each group along `dim`, every group filled up with zeros to `size`."""
    import torch

    pieces = []
    for indices in groups:
        piece = tensor.index_select(dim, indices.to(tensor.device))
        missing = list(piece.shape)
        missing[dim] = size - piece.shape[dim]
        pieces += [piece, tensor.new_zeros(missing)]
    return torch.cat(pieces, dim)


def _fill(tensors: dict[str, Tensor], name: str, kept: Tensor) -> None:
    tensor = tensors[name]
    tensors[name] = tensor.masked_fill(~kept.to(tensor.device), 0.0)


def _unpack_bits(packed: Tensor, count: int) -> Tensor:
    """The first `count` bits of bytes, the highest bit of each first: boolean [count]."""
    import torch

    if packed.dtype != torch.uint8 or packed.numel() != -(-count // 8):
        raise ValueError(f"{count} bits do not fill {packed.numel()} elements of {packed.dtype}")
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8)
    return (packed.reshape(-1, 1) >> shifts & 1).flatten()[:count].bool()
