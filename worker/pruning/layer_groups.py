"""What the layers of a model read while a batch goes through it, and which of them read the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from worker.compute.batches import Batch, forward
from worker.families.anatomy import Anatomy
from worker.families.layers import linear_layers
from worker.pruning.layer_inputs import by_example

Reads = list[tuple[str, Tensor]]
"""Layers and the tokens that each has read [tokens, in], in the order they ran."""


class _ReadError(Exception):
    """Ends a run whose rest nobody needs."""


@dataclass(frozen=True)
class LayerGroup:
    """Layers that read the same, by name, and the place of the block they stand in.

    What runs before the first block is in place -1, what runs after the last one in the place after it.
    """

    place: int
    layers: tuple[str, ...]


def groups_of(model: nn.Module, anatomy: Anatomy, batch: Batch) -> list[LayerGroup]:
    """All linear layers of a model in the order they run, those together that are handed the same tensor."""
    place, seen = -1, []

    def enter(block: int, *_: Any) -> None:
        nonlocal place
        place = block

    def note(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((place, inputs[0], name))  # the tensor itself: another would take the place of one that is gone

    with ExitStack() as hooks:
        for number, block in enumerate(anatomy.blocks):
            module = model.get_submodule(block)
            hooks.callback(module.register_forward_pre_hook(partial(enter, number)).remove)
            hooks.callback(module.register_forward_hook(partial(enter, number + 1)).remove)
        for name, layer in linear_layers(model).items():
            hooks.callback(layer.register_forward_pre_hook(partial(note, name)).remove)
        forward(model, batch)
    together: dict[tuple[int, int], list[str]] = {}
    for where, read, name in seen:
        together.setdefault((where, id(read)), []).append(name)
    return [LayerGroup(where, tuple(dict.fromkeys(names))) for (where, _), names in together.items()]


def among(groups: Iterable[LayerGroup], chosen: Iterable[str]) -> list[LayerGroup]:
    """The groups without the layers that are not `chosen`."""
    known = frozenset(chosen)
    left = [LayerGroup(group.place, tuple(name for name in group.layers if name in known)) for group in groups]
    return [group for group in left if group.layers]


def reads(
    run: Callable[[], Any], layers: Mapping[str, nn.Module], batch: Batch, *, first: bool = False
) -> tuple[Reads, Any]:
    """What `layers` read while `run` runs the batch, and what it returns; None if it ends at the `first` of them."""
    seen: Reads = []

    def note(name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((name, _tokens(inputs[0], batch)))
        if first:
            raise _ReadError

    output = None
    with ExitStack() as hooks, suppress(_ReadError):
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(partial(note, name)).remove)
        output = run()
    return seen, output


def _tokens(x: Tensor, batch: Batch) -> Tensor:
    """The positions that count [tokens, in] of what a layer reads."""
    x = by_example(x, batch)
    mask = batch.attention_mask
    return x[mask.bool()] if mask is not None and mask.shape == x.shape[:2] else x.flatten(0, 1)


def named(model: nn.Module, names: Sequence[str], called: Callable[[str], str]) -> dict[str, nn.Module]:
    """The layers of `names` where a model calls them otherwise."""
    return {name: model.get_submodule(called(name)) for name in names}
