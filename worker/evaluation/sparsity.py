"""How much of the base is gone: zeroed and removed entries of the linear layers, and parameters left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from microlith.contract import Size, Sparsity
from worker.families.layers import linear_layers


@dataclass(frozen=True)
class BaseSize:
    """The base's parameters, in all and of each linear layer (weights and biases); all that measuring needs of it."""

    parameters: int
    layers: Mapping[str, int]


def base_size(model: nn.Module) -> BaseSize:
    """The size of an unpruned model."""
    layers = {
        name: sum(tensor.numel() for tensor in layer.parameters()) for name, layer in linear_layers(model).items()
    }
    return BaseSize(sum(parameter.numel() for parameter in model.parameters()), layers)


def sparsity(model: nn.Module, base: BaseSize, named: Callable[[str], str | None] = lambda name: name) -> Sparsity:
    """The fraction of each base layer's weights and biases, and of all of them, that is zero or removed.

    The same for a masked model and for the one that surgery makes of the mask. `named` tells what the model calls a
    layer of its base; None is one that is gone.
    """
    own = linear_layers(model)
    there = {name: own[called] for name in base.layers if (called := named(name)) is not None}
    left = dict.fromkeys(base.layers, 0) | {
        name: sum(_nonzero(tensor) for tensor in layer.parameters()) for name, layer in there.items()
    }
    return Sparsity(
        overall=1.0 - sum(left.values()) / sum(base.layers.values()),
        layers={name: 1.0 - left[name] / size for name, size in base.layers.items()},
    )


def size(model: nn.Module, base: BaseSize) -> Size:
    """Parameters as the model holds them (tied ones once), those that are not zero, and the base's."""
    parameters = list(model.parameters())
    return Size(
        parameters=sum(parameter.numel() for parameter in parameters),
        nonzero=sum(_nonzero(parameter) for parameter in parameters),
        base_parameters=base.parameters,
    )


def tensor_bytes(model: nn.Module) -> int:
    """Bytes of the parameters, as large as they are in memory; tied ones once."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _nonzero(tensor: Tensor) -> int:
    return int(torch.count_nonzero(tensor))
