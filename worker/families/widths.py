"""Which settings of a config say how many neurons a block has: those that make an empty model of that width."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from microlith.masks.document import WIDTHS
from worker.families.anatomy import Anatomy
from worker.families.layers import linear_layers


def find_widths(model: Any, anatomy: Anatomy) -> tuple[str, ...]:
    """The settings of `model.config` that together give every block another number of neurons, and change nothing else.

    None where blocks differ in their numbers, or where the number is made of other settings.
    """
    numbers = {anatomy.neurons(part) for part in anatomy.feed_forwards}
    if len(numbers) != 1:
        return ()
    (number,) = numbers
    settings = [name for name in WIDTHS if getattr(model.config, name, number + 1) in (number, None)]
    wanted = _shapes_of_width(anatomy, number // 2)
    if not settings or number < 2 or _shapes_with(model, settings, number // 2) != wanted:
        return ()
    for name in list(settings):
        others = [setting for setting in settings if setting != name]
        if _shapes_with(model, others, number // 2) == wanted:
            settings = others
    return tuple(settings)


def _shapes_of_width(anatomy: Anatomy, width: int) -> dict[str, tuple[int, int]]:
    """[out, in] of every linear layer, were there `width` neurons in each block."""
    shapes = dict(anatomy.shapes)
    for part in anatomy.feed_forwards:
        for writer in part.writers:
            shapes[writer] = (2 * width if part.fused else width, shapes[writer][1])
        shapes[part.output] = (shapes[part.output][0], width)
    return shapes


def _shapes_with(model: Any, settings: Sequence[str], width: int) -> dict[str, tuple[int, int]]:
    """The same of a model that transformers makes of the config with these settings; nothing where it makes none."""
    config = copy.deepcopy(model.config)
    for name in settings:
        setattr(config, name, width)
    try:
        with torch.device("meta"):
            made = type(model)(config)
    except Exception:  # whatever an architecture says to a width that it cannot have
        return {}
    return {name: (layer.out_features, layer.in_features) for name, layer in linear_layers(made).items()}
