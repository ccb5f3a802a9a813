"""A student: the small dense model that a mask leaves of the base, free to learn, and the way back to the base's shape.

The student shares the base's embeddings, which do not learn. What it has learned is handed on as new values of the
base's own parameters, zero where units are gone: a mask that carries them makes the student of the base, in any layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from worker.compute.model_edits import fixed, sharing_copy
from worker.families.anatomy import Anatomy
from worker.pruning.masks import Mask, ParameterValues
from worker.pruning.narrowing import narrow
from worker.pruning.surgery import masked_copy, shrink


@dataclass(frozen=True)
class Student:
    """A model that learns, and where its values stand in the base."""

    model: nn.Module
    places: Mapping[str, Tensor]
    """By parameter that learns: the number of each value among all values of the base that may learn, from 1 on. What
    only fills a layer up to its width has 0, and stays zero: nothing that it writes is read."""
    shapes: Mapping[str, torch.Size]
    """The base's parameters that may learn, in the order in which their values are numbered."""

    @classmethod
    def of(cls, base: nn.Module, mask: Mask, anatomy: Anatomy) -> Student:
        """What the mask leaves of the base, with what repaired it; the base is only read."""
        numbers, shapes, count = {}, {}, 1
        for name, parameter in learning(base):
            places = torch.arange(count, count + parameter.numel(), device=parameter.device)
            numbers[id(parameter)] = fixed(places.view_as(parameter))
            shapes[name] = parameter.shape
            count += parameter.numel()
        numbered = _narrowed(sharing_copy(base, numbers), replace(mask, tensors={}), anatomy)
        model = _apart(_narrowed(base, mask, anatomy))
        return cls(model, {name: places.data for name, places in learning(numbered)}, shapes)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that learn, by name."""
        return dict(learning(self.model))

    def scatter(self) -> dict[str, ParameterValues]:
        """New values of the base's parameters, by their names and in their shapes, float32; zeros where units are gone.

        Parameters of which the student has nothing are left out.
        """
        values = torch.zeros(1 + sum(shape.numel() for shape in self.shapes.values()))
        held = torch.zeros_like(values, dtype=torch.bool)
        for name, parameter in self.parameters.items():
            at = self.places[name].flatten().cpu()
            values[at], held[at] = parameter.detach().flatten().float().cpu(), True
        sizes = [shape.numel() for shape in self.shapes.values()]
        parts = zip(self.shapes.items(), torch.split(values[1:], sizes), torch.split(held[1:], sizes), strict=True)
        return {name: part.view(shape).numpy() for (name, shape), part, own in parts if own.any()}


def learning(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters that may learn: all but embeddings, and what is done to them before the first block."""
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    for name, parameter in model.named_parameters():
        first = any(part.startswith("embed") for part in name.split("."))
        if not first and id(parameter) not in tables:
            yield name, parameter


def _narrowed(model: nn.Module, mask: Mask, anatomy: Anatomy) -> nn.Module:
    """The masked model without what the mask removes."""
    masked = shrink(model, mask, anatomy) if mask.neurons or mask.layers else masked_copy(model, mask, anatomy)
    return narrow(masked, mask, anatomy).model


def _apart(model: nn.Module) -> Any:
    """The model with values of its own where it learns; what does not learn is the same memory, and asks no gradient.

    It is in eval mode: a student that answers as it is asked needs no dropout, and no dice.
    """
    learns = {id(parameter) for _, parameter in learning(model)}
    own = {
        id(parameter): nn.Parameter(parameter.detach().clone()) if id(parameter) in learns else fixed(parameter)
        for parameter in model.parameters()
    }
    return sharing_copy(model, own).eval()
