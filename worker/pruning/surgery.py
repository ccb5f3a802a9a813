"""Surgery: a model whose removed neurons and blocks are really gone, opened by plain `from_pretrained`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from app.domain.families import FeedForward
from worker.compute.model_edits import fixed, replace_linear, sharing_copy
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.depth import take_out
from worker.pruning.masks import Mask, applied


@contextmanager
def realised(model: nn.Module, mask: Mask, anatomy: Anatomy) -> Iterator[nn.Module]:
    """The module a mask stands for, as an ordinary model: the base itself with what is removed at zero, unchanged

    again on leaving, or a smaller model of its own where blocks are gone, or neurons and the config can say so.
    """
    if mask.layers or (mask.neurons and anatomy.widths):
        yield shrink(model, mask, anatomy)
    else:
        with applied(model, mask, anatomy) as module:
            yield module


def shrink(model: nn.Module, mask: Mask, anatomy: Anatomy) -> nn.Module:
    """A new model of the same class without the mask's neurons and blocks, with the logits of the masked one.

    Hugging Face models have one feed-forward width, so it becomes the widest that any block keeps; blocks that keep
    fewer are filled up with neurons of zeros. What is kept goes by index: a neuron that happens to be zero stays.
    Heads and weights that the mask removes are zeros, and what recovery changed is new; so are neurons where no setting
    of the config says how many there are.
    The base is only read. The new model shares every tensor that the mask leaves alone, so it costs its feed-forward
    layers only; train a deep copy of it.
    """
    shrunk = masked_copy(model, replace(mask, layers={}), anatomy)
    if mask.neurons and anatomy.widths:
        parts = [part for part in anatomy.feed_forwards if part.block not in mask.blocks_gone]
        kept = {part.block: _kept_indices(mask, part, anatomy) for part in parts}
        width = max(len(indices) for indices in kept.values())
        for part in parts:
            _shrink_block(shrunk, part, anatomy, kept[part.block], width)
        for setting in anatomy.widths:
            setattr(shrunk.config, setting, width)
    for stack, bits in mask.layers.items():
        take_out(shrunk, stack, np.flatnonzero(bits.unpack()).tolist(), ExitStack())
    return shrunk


def masked_copy(model: nn.Module, mask: Mask, anatomy: Anatomy) -> nn.Module:
    """The masked model as a new one, which shares with the base what the mask does not change."""
    own = {id(parameter): parameter.data_ptr() for parameter in model.parameters()}
    with applied(model, mask, anatomy):
        changed = (parameter for parameter in model.parameters() if own[id(parameter)] != parameter.data_ptr())
        copied: nn.Module = sharing_copy(model, {id(parameter): fixed(parameter.data) for parameter in changed})
    return copied


def _shrink_block(shrunk: nn.Module, part: FeedForward, anatomy: Anatomy, indices: Tensor, width: int) -> None:
    """Takes all but the neurons `indices` out of the layers that write and read them."""
    for writer in part.writers:
        layer = linear(shrunk, writer)
        starts = [offset for name, offset in anatomy.neuron_rows(part) if name == writer]
        weight = torch.cat([_filled(layer.weight[_at(layer, indices, start)], 0, width) for start in starts])
        bias = [_filled(layer.bias[_at(layer, indices, start)], 0, width) for start in starts if layer.bias is not None]
        replace_linear(shrunk, writer, weight, torch.cat(bias) if bias else None)
    reader = linear(shrunk, part.output)
    replace_linear(shrunk, part.output, _filled(reader.weight[:, _at(reader, indices, 0)], 1, width), reader.bias)


def _at(layer: nn.Linear, indices: Tensor, start: int) -> Tensor:
    return indices.to(layer.weight.device) + start


def _kept_indices(mask: Mask, part: FeedForward, anatomy: Anatomy) -> Tensor:
    """The kept neurons of a block, all of them where the mask says nothing of it."""
    if part.block not in mask.neurons:
        return torch.arange(anatomy.neurons(part))
    return torch.from_numpy(mask.neurons[part.block].unpack()).nonzero().flatten()


def _filled(tensor: Tensor, dim: int, width: int) -> Tensor:
    """The tensor with zeros appended along `dim` up to `width`."""
    missing = list(tensor.shape)
    missing[dim] = width - tensor.shape[dim]
    return torch.cat([tensor.detach(), tensor.new_zeros(missing)], dim)
