"""The union of masks: what any of several modules of one base keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.domain.errors import InvalidInput
from worker.pruning.masks import Bits, Mask


def union(masks: Sequence[Mask]) -> Mask:
    """A unit is kept where any mask keeps it, kind by kind; what one of them does not name is kept whole.

    What recovery put in the place of biases and weights was solved for what its own module lacks. The union lacks
    less, so it takes the base's own values there, unless all masks are one and the same. Raises InvalidInput for
    masks of unlike structures, whose units do not compare.
    """
    first = masks[0]
    structures = sorted({mask.structure for mask in masks})
    if len(structures) > 1:
        raise InvalidInput(
            f"The modules have lost different kinds of units: {', '.join(structures)}.",
            hint="Combine modules of one structure, or use mode `recompose`.",
            pointer="/modules",
        )
    if len({mask.digest() for mask in masks}) == 1:
        return first
    return Mask(
        first.structure,
        weights=_any([mask.weights for mask in masks]),
        neurons=_any([mask.neurons for mask in masks]),
        heads=_any([mask.heads for mask in masks]),
    )


def mended(masks: Sequence[Mask]) -> bool:
    """Whether recovery has changed any bias or weight that these masks leave in place."""
    return any(mask.biases or mask.refits for mask in masks)


def _any(parts: Sequence[Mapping[str, Bits]]) -> dict[str, Bits]:
    """The bits of the layers or blocks that every part names, each kept where any keeps it."""
    named = [name for name in parts[0] if all(name in part for part in parts)]
    return {name: _either([part[name] for part in parts]) for name in named}


def _either(bits: Sequence[Bits]) -> Bits:
    """Byte by byte, without unpacking: pads at the end are zeros in all of them."""
    packed = np.frombuffer(bits[0].packed, np.uint8).copy()
    for other in bits[1:]:
        packed |= np.frombuffer(other.packed, np.uint8)
    return Bits(bits[0].shape, packed.tobytes())
