"""Weights in the number type that they are stored in, rounded before they are measured: what is told is what is stored.

A pruned checkpoint holds its own numbers and zeros, so that in the type it came in nothing is rounded. What a recovery
has changed is, and everything where a smaller type is asked for.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from app.domain.errors import UnsupportedModel
from microlith.contract.options import NumberType
from worker.compute.model_edits import fixed, sharing_copy

TYPES: dict[NumberType, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def rounded(model: nn.Module, number_type: NumberType) -> nn.Module:
    """The model in float32 with values that this type has; the model itself where it has no others.

    Raises UnsupportedModel for values beyond the type's range.
    """
    kind = TYPES[number_type]
    if kind is torch.float32:
        return model
    changed: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        nearest = values.to(kind).to(values.dtype)
        if not torch.equal(nearest, values):
            _check_range(name, nearest, number_type)
            changed[id(parameter)] = fixed(nearest)
    return cast("nn.Module", sharing_copy(model, changed)) if changed else model


def stored_as(model: nn.Module, number_type: NumberType) -> Any:
    """A rounded model as it is saved: its parameters in this type."""
    kind = TYPES[number_type]
    if kind is torch.float32:
        return model
    return sharing_copy(model, {id(parameter): fixed(parameter.detach().to(kind)) for parameter in model.parameters()})


def _check_range(name: str, values: torch.Tensor, number_type: NumberType) -> None:
    if not bool(values.isfinite().all()):
        raise UnsupportedModel(
            f"{name} has weights beyond the range of {number_type}.",
            hint="Use `export.dtype: bfloat16`, which reaches as far as float32, or leave it out.",
            pointer="/export/dtype",
        )
