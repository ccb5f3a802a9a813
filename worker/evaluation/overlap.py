"""How much the modules of a job share: which units several concerns keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from microlith.contract import Overlap
from worker.pruning.masks import Bits, Mask


def overlaps(masks: Iterable[tuple[int, float, Mask]]) -> list[Overlap]:
    """One overlap for each ratio that several concerns have a mask at, from (concern, ratio, mask)."""
    by_ratio: dict[float, dict[int, Mask]] = {}
    for concern, ratio, mask in masks:
        by_ratio.setdefault(ratio, {})[concern] = mask
    return [overlap(of_ratio, ratio) for ratio, of_ratio in sorted(by_ratio.items()) if len(of_ratio) > 1]


def overlap(masks: Mapping[int, Mask], ratio: float) -> Overlap:
    """Jaccard index of the kept units of each pair of concerns, and the fraction of units that all of them keep.

    Masks of one job and ratio, by concern; layer by layer, so that one layer of every mask is unpacked at a time.
    """
    concerns = sorted(masks)
    both = np.zeros((len(concerns), len(concerns)))
    core, size = 0, 0
    shares: dict[str, float] = {}
    parts = [_parts(masks[concern]) for concern in concerns]
    for name, size_of in {name: bits.size for part in parts for name, bits in part.items()}.items():
        nothing = np.zeros(size_of, dtype=bool)  # of a block that is gone
        kept = np.stack(
            [part[name].unpack().reshape(-1) if name in part else nothing for part in parts]
        )  # [concerns, units]
        counted = kept.astype(np.float32)
        both += counted @ counted.T  # units that each pair keeps [concerns, concerns]
        in_all = int(kept.all(axis=0).sum())
        shares[name] = in_all / kept.shape[1]
        core, size = core + in_all, size + kept.shape[1]
    return Overlap(ratio=ratio, concerns=concerns, jaccard=_jaccard(both), core=core / size, layers=shares)


def _parts(mask: Mask) -> Mapping[str, Bits]:
    """Every packed part of a mask by name; names of layers and blocks do not meet."""
    heads = {f"{block}.heads": bits for block, bits in mask.heads.items()}
    return {**mask.layers, **mask.weights, **mask.neurons, **heads}


def _jaccard(both: npt.NDArray[np.float64]) -> list[list[float]]:
    """|A ∩ B| / |A ∪ B|; 1 for two that keep nothing."""
    own = np.diagonal(both)
    union: npt.NDArray[np.float64] = own[:, None] + own[None, :] - both
    index = np.divide(both, union, out=np.ones_like(both), where=union > 0)
    rows: list[list[float]] = index.tolist()
    return rows
