"""Depth: a model without some of its blocks is an ordinary model of its class, of fewer layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn


def take_out(model: nn.Module, stack: str, kept: Sequence[int], restore: ExitStack) -> None:
    """Leaves the `kept` blocks of a stack in the live model, in their order, until `restore` unwinds.

    The config says how many there are, and of what kind each is where blocks differ; a block knows its new place.
    """
    owner_name, _, leaf = stack.rpartition(".")
    owner: Any = model.get_submodule(owner_name)
    blocks = getattr(owner, leaf)
    chosen = nn.ModuleList([blocks[place] for place in kept])
    _change(model.config, settings_of(model.config, kept), restore)
    for place, block in enumerate(chosen):
        for part in block.modules():
            if isinstance(getattr(part, "layer_idx", None), int):
                _change(part, {"layer_idx": place}, restore)
    _change(owner, {leaf: chosen}, restore)


def settings_of(config: Any, kept: Sequence[int]) -> dict[str, Any]:
    """What the config of a model with the `kept` blocks alone says of them."""
    settings: dict[str, Any] = {"num_hidden_layers": len(kept)}
    if kinds := getattr(config, "layer_types", None):
        settings["layer_types"] = [kinds[place] for place in kept]
    return settings


def _change(owner: Any, values: Mapping[str, Any], restore: ExitStack) -> None:
    for name, value in values.items():
        restore.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)
