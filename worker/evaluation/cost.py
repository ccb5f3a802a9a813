"""What a model costs beside the one it was made of: arithmetic of its encoder, and parameters.

The rule: only what is really gone is saved. A weight, a head or a neuron at zero is stored and multiplied like any
other, so it costs as much; a layer that is smaller, or is not there, costs less.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from microlith.contract import Cost
from worker.families.anatomy import Anatomy
from worker.families.layers import linear_layers

POSITIONS = 32
"""Tokens of the text that attention is counted in: about a sentence."""


@dataclass(frozen=True)
class BaseCost:
    """What the unpruned model costs; all that is needed of it to compare others."""

    flops: int
    parameters: int


def base_cost(model: nn.Module, anatomy: Anatomy) -> BaseCost:
    """The cost of an unpruned model."""
    return BaseCost(encoder_products(model, anatomy), count_parameters(model))


def cost(model: nn.Module, base: BaseCost, anatomy: Anatomy) -> Cost:
    """What a model costs that was made of the base; `anatomy` is the base's. A base without linear layers costs 1."""
    products = encoder_products(model, anatomy)
    return Cost(
        flops_ratio=products / base.flops if base.flops else 1.0,
        parameters_ratio=count_parameters(model) / base.parameters,
    )


def encoder_products(model: nn.Module, anatomy: Anatomy) -> int:
    """Multiplications for one token in a text of POSITIONS tokens: linear layers, scores and sums of attention.

    A linear layer multiplies out · in numbers; attention twice POSITIONS for each column of its output layer.
    Embeddings, biases, norms and activations are left out, and so are the layers that answer for the whole text, where
    it is known which those are. In a model of no known family every linear layer counts, and no attention.
    """
    layers = linear_layers(model)
    blocks = (
        *(f"{part.block}." for part in anatomy.feed_forwards),
        *(f"{attention.block}." for attention in anatomy.attentions),
    )
    counted = {name: layer for name, layer in layers.items() if not blocks or name.startswith(blocks)}
    products = sum(layer.out_features * layer.in_features for layer in counted.values())
    read = (layers[part.output] for part in anatomy.attentions if part.output in layers)
    return products + sum(2 * POSITIONS * layer.in_features for layer in read)


def count_parameters(model: nn.Module) -> int:
    """Parameters as the model holds them, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
