"""Narrowing: a module whose every layer is as small as its own mask, block by block; neurons and heads are gone.

No config of transformers can say this, so what opens it has to be told each layer's size: `packaging.compact_layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from app.domain.families import Attention, FeedForward
from worker.compute.model_edits import replace_linear, sharing_copy
from worker.families.anatomy import Anatomy
from worker.families.anatomy import anatomy as anatomy_of
from worker.families.layers import linear, linear_layers
from worker.pruning.masks import Bits, Mask, renumbered


@dataclass(frozen=True)
class Narrow:
    """A narrow model; what its config does not tell of it; and its heads that stay as zeros.

    `layers` are [out, in] of the linear layers that are smaller than the config says; `settings` the numbers that
    attention parts then compute with, by dotted name of the part.
    """

    model: nn.Module
    layers: dict[str, tuple[int, int]]
    settings: dict[str, dict[str, int]]
    heads_left: int


def narrow(module: nn.Module, mask: Mask, anatomy: Anatomy) -> Narrow:
    """The module that a mask was realised as, without the zeros that removed neurons and heads have left in it.

    `anatomy` is the base's. A block keeps one neuron and one head at least, and every group of heads that stays has as
    many as the largest: what fills them up are zeros. The module is only read, and shares what stays as it is.
    """
    if mask.layers:
        mask, anatomy = renumbered(mask), anatomy_of(module)
    model: nn.Module = sharing_copy(module)
    before = {name: (layer.out_features, layer.in_features) for name, layer in linear_layers(module).items()}
    for part in anatomy.feed_forwards:
        if part.block in mask.neurons:
            _narrow_feed_forward(model, part, _places_of(mask.neurons[part.block], anatomy))
    settings: dict[str, dict[str, int]] = {}
    left = 0
    for attention in anatomy.attentions:
        if attention.block in mask.heads:
            removed = removable_heads(mask.heads[attention.block], anatomy, attention)
            left += mask.heads[attention.block].size - mask.heads[attention.block].kept - len(removed)
            if removed:
                settings |= _narrow_attention(model, attention, anatomy, removed)
    after = {name: (layer.out_features, layer.in_features) for name, layer in linear_layers(model).items()}
    return Narrow(model, {n: size for n, size in after.items() if size != before[n]}, settings, left)


def removable_heads(bits: Bits, anatomy: Anatomy, part: Attention) -> list[int]:
    """The removed heads that can go, ascending: groups lose all of theirs, or as many as the one that loses least."""
    if anatomy.heads_stay:
        return []
    groups = bits.unpack().reshape(anatomy.groups(part), -1)  # [groups, query heads of each]
    most = max(1, int(groups.sum(axis=1).max()))
    if not groups.any():
        groups[0, 0] = True
    for group in filter(np.any, groups):
        group[np.flatnonzero(~group)[: most - int(group.sum())]] = True
    return [int(head) for head in np.flatnonzero(~groups.ravel())]


def _places_of(bits: Bits, anatomy: Anatomy) -> Tensor:
    """Where the kept neurons of a block are: first, where surgery has been, and else where they ever were."""
    if anatomy.widths:
        return torch.arange(max(1, bits.kept))
    kept = torch.from_numpy(bits.unpack()).nonzero().flatten()
    return kept if len(kept) else torch.arange(1)


def _narrow_feed_forward(model: nn.Module, part: FeedForward, places: Tensor) -> None:
    """Keeps the neurons at `places`; a fused writer holds two of each, half a layer apart."""
    stored = linear(model, part.output).in_features
    for writer in part.writers:
        every = torch.arange(linear(model, writer).out_features)
        _keep(model, writer, rows=every.view(-1, stored)[:, places].flatten())
    _keep(model, part.output, columns=places)


def _narrow_attention(
    model: nn.Module, part: Attention, anatomy: Anatomy, removed: Sequence[int]
) -> dict[str, dict[str, int]]:
    """Takes heads out of the layers that write and read them; the settings that the part computes with from now on."""
    rows = {name: torch.ones(linear(model, name).out_features, dtype=torch.bool) for name in part.layers}
    for name, gone in anatomy.head_rows(part, *removed):
        rows[name][gone] = False
    for name, kept in rows.items():
        if not kept.all():
            _keep(model, name, rows=kept.nonzero().flatten())
    columns = torch.ones(linear(model, part.output).in_features, dtype=torch.bool)
    for head in removed:
        columns[anatomy.head_columns(part, head)] = False
    _keep(model, part.output, columns=columns.nonzero().flatten())
    return _adjust(model, part, anatomy, removed)


def _adjust(model: nn.Module, part: Attention, anatomy: Anatomy, removed: Sequence[int]) -> dict[str, dict[str, int]]:
    name = part.query.rpartition(".")[0]
    owner = model.get_submodule(name)
    heads = anatomy.heads(part) - len(removed)
    width = linear(model, part.output).in_features // heads
    known = {
        "num_attention_heads": heads,
        "n_heads": heads,
        "num_heads": heads,
        "all_head_size": heads * width,
        "num_key_value_groups": 0 if part.fused else heads * width // linear(model, part.key).out_features,
    }
    changed = {setting: value for setting, value in known.items() if isinstance(getattr(owner, setting, None), int)}
    for setting, value in changed.items():
        setattr(owner, setting, value)
    return {name: changed} if changed else {}


def _keep(model: nn.Module, name: str, rows: Tensor | None = None, columns: Tensor | None = None) -> None:
    """Puts a linear layer of some rows or columns in the place of the one of that name."""
    whole = linear(model, name)
    weight, bias = whole.weight.detach(), None if whole.bias is None else whole.bias.detach()
    if rows is not None:
        weight = weight[rows.to(weight.device)]
        bias = None if bias is None else bias[rows.to(bias.device)]
    if columns is not None:
        weight = weight[:, columns.to(weight.device)]
    replace_linear(model, name, weight.contiguous(), bias)
