"""The linear layers of a live model, by the dotted names that layer patterns speak of."""

from __future__ import annotations

from torch import nn

from app.domain.families import Family, family_of


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """Every linear layer in the order of a walk of the module tree, the classifier head included."""
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


def linear(model: nn.Module, name: str) -> nn.Linear:
    """The linear layer of that dotted name."""
    module = model.get_submodule(name)
    if not isinstance(module, nn.Linear):
        raise TypeError(f"{name} is a {type(module).__name__}, not a linear layer")
    return module


def family_of_model(model: nn.Module) -> Family | None:
    """The family that a loaded model's config names."""
    return family_of(getattr(getattr(model, "config", None), "model_type", None))
