"""Surgery: a model whose removed neurons are really gone, opened by plain `from_pretrained`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from app.domain.families import Family
from worker.families.layers import WIDTH_SETTINGS, feed_forwards, linear
from worker.pruning.masks import Mask, applied


@contextmanager
def realised(model: nn.Module, mask: Mask, family: Family | None) -> Iterator[nn.Module]:
    """The module a mask stands for, as an ordinary model: the base itself with weights at zero, unchanged again on

    leaving, or a smaller model of its own where neurons are gone.
    """
    if mask.structure == "weights" or family is None:
        with applied(model, mask) as module:
            yield module
    else:
        yield shrink(model, mask, family)


def shrink(model: nn.Module, mask: Mask, family: Family) -> nn.Module:
    """A new model of the same class without the mask's neurons, with the logits of the masked one.

    Hugging Face models have one feed-forward width, so it becomes the widest that any block keeps; blocks that keep
    fewer are filled up with neurons of zeros. What is kept goes by index: a neuron that happens to be zero stays.
    The base is only read. The new model shares every tensor that surgery leaves alone, so it costs its feed-forward
    layers only; train a deep copy of it.
    """
    shrunk = copy.deepcopy(model, {id(tensor): tensor for tensor in model.parameters()})
    pairs = feed_forwards(model, family)
    kept = {pair.intermediate: _kept_indices(model, mask, pair.intermediate) for pair in pairs}
    width = max(len(indices) for indices in kept.values())
    for pair in pairs:
        indices = kept[pair.intermediate]
        writer, reader = linear(model, pair.intermediate), linear(model, pair.output)
        bias = None if writer.bias is None else _filled(writer.bias[indices], 0, width)
        _replace(shrunk, pair.intermediate, _filled(writer.weight[indices], 0, width), bias)
        _replace(shrunk, pair.output, _filled(reader.weight[:, indices], 1, width), reader.bias)
    setattr(shrunk.config, WIDTH_SETTINGS[family.name], width)
    return shrunk


def _kept_indices(model: nn.Module, mask: Mask, intermediate: str) -> Tensor:
    """The kept neurons of a block, all of them where the mask says nothing of it."""
    weight = linear(model, intermediate).weight
    if intermediate not in mask.layers:
        return torch.arange(weight.shape[0], device=weight.device)
    return torch.from_numpy(mask.layers[intermediate].unpack()).nonzero().flatten().to(weight.device)


def _filled(tensor: Tensor, dim: int, width: int) -> Tensor:
    """The tensor with zeros appended along `dim` up to `width`."""
    missing = list(tensor.shape)
    missing[dim] = width - tensor.shape[dim]
    return torch.cat([tensor.detach(), tensor.new_zeros(missing)], dim)


def _replace(model: nn.Module, name: str, weight: Tensor, bias: Tensor | None) -> None:
    """Puts a linear layer with these values in the place of the one of that name."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    layer.train(model.training)
    model.set_submodule(name, layer)
