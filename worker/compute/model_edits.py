"""Edits of a model, made on a copy that shares the tensors they leave alone. Copy deeply what you want to train."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


def sharing_copy(model: nn.Module, replaced: Mapping[int, nn.Parameter] | None = None) -> Any:
    """A model of its own that has every parameter of `model` itself, or the one that `replaced` has for its id."""
    return copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()} | dict(replaced or {}))


def fixed(values: Tensor) -> nn.Parameter:
    """The values as a parameter that needs no gradient; no copy is made."""
    return nn.Parameter(values.detach(), requires_grad=False)


def replace_linear(model: nn.Module, name: str, weight: Tensor, bias: Tensor | None) -> None:
    """Puts a linear layer with this weight [out, in] and bias [out] in the place of the layer of that dotted name."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = fixed(weight)
    if bias is not None:
        layer.bias = fixed(bias)
    model.set_submodule(name, layer.train(model.training))


def with_head(model: nn.Module, classifier: str, weight: Tensor, bias: Tensor | None, labels: Sequence[str]) -> Any:
    """A model with a classifier of this weight [labels, in] and bias [labels], which answers these labels."""
    edited = sharing_copy(model)
    replace_linear(edited, classifier, weight, bias)
    edited.config.id2label = dict(enumerate(labels))
    edited.config.label2id = {label: number for number, label in enumerate(labels)}
    edited.num_labels = len(labels)
    return edited
