"""The union of masks: what any of several modules of one base keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.domain.combinations import check_structures
from worker.pruning.masks import Bits, Mask


def union(masks: Sequence[Mask]) -> Mask:
    """A unit is kept where any mask keeps it, kind by kind; what one of them does not name is kept whole.

    What repair put in the place of biases and weights was solved for what its own module lacks. The union lacks
    less, so it has the base's own values there. Raises InvalidInput for masks of unlike structures, whose units do
    not compare.
    """
    check_structures([mask.structure for mask in masks])
    return Mask(
        masks[0].structure,
        weights=_any([mask.weights for mask in masks]),
        neurons=_any([mask.neurons for mask in masks]),
        heads=_any([mask.heads for mask in masks]),
        layers=_any([mask.layers for mask in masks]),
    )


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
