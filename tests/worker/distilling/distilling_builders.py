"""Masks for students of tiny models."""

from __future__ import annotations

import numpy as np

from worker.families.anatomy import Anatomy
from worker.pruning.masks import Bits, Mask, kept_blocks

HEADS = ((True, False, True, False), (False, False, True, True))


def mask_of(parts: Anatomy, structure: str) -> Mask:
    """About half of the neurons of each block, half of its four heads, and the first of several blocks, where

    the structure removes them.
    """
    rng = np.random.default_rng(5)
    neurons = {part.block: Bits.pack(rng.random(parts.neurons(part)) < 0.5) for part in parts.feed_forwards}
    heads = {part.block: Bits.pack(np.array(HEADS[i % 2])) for i, part in enumerate(parts.attentions)}
    chosen = structure.split("+")
    return Mask(
        structure,  # type: ignore[arg-type]
        neurons=neurons if "neurons" in chosen else {},
        heads=heads if "heads" in chosen else {},
        layers=kept_blocks(parts, frozenset(parts.removable[:-1])) if "layers" in chosen else {},
    )
