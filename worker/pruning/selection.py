"""Which units go: the lowest scores of a pool, as many as the ratio says, in every scope.

A pool is a table of scores [rows, width] each row of which loses its `int(width · ratio)` lowest: the output rows of a
layer, groups of M inputs, one row for all units of a layer, or one for those of all layers under the same ratio rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from app.domain.errors import InvalidInput
from app.domain.methods import UnitKind, pattern_of, ratios_for, rule_for, scope_of
from microlith.contract import JobSpec
from worker.pruning.masks import Bits, Kept

UnitScores = npt.NDArray[np.floating[Any]]
Scorer = Callable[[str], Tensor]
"""The scores of a layer's or block's units, by its name: [out, in] of weights, [units] of neurons and heads."""

EXCHANGED = 0.2
"""What recovery `ti` exchanges: this share of the units removed or of those kept, whichever are fewer."""


@dataclass(frozen=True)
class Units:
    """What a part of a structure may remove: names of layers or blocks, with the names that ratio rules look at."""

    part: UnitKind
    known_as: Mapping[str, Collection[str]]

    @classmethod
    def of_layers(cls, layers: Iterable[str]) -> Units:
        """Single weights of layers."""
        return cls("weights", {name: (name,) for name in layers})


def select(spec: JobSpec, units: Units, scorer: Scorer, restorer: Scorer | None = None) -> list[dict[str, Bits]]:
    """What is kept by name, once for each ratio of the sweep. Each row of each pool loses exactly its count.

    With a `restorer` (recovery `ti`) that many more are removed as are then restored: those it scores highest.
    """
    kept: list[dict[str, Bits]] = [{} for _ in spec.ratios]
    slack = 1e-6 if pattern_of(spec.scope) else 0.0  # M · (N / M) may fall short of N by rounding
    for names in _pools(spec, units):
        ratios = ratios_for(spec, units.part, units.known_as[names[0]])
        scores = [_array(scorer(name)) for name in names]
        table = _table(scores, scope_of(spec, units.part))
        counts = [int(table.shape[1] * ratio + slack) for ratio in ratios]
        if restorer is None:
            chosen = lowest(table, counts)
        else:
            restoring = _table([_array(restorer(name)) for name in names], scope_of(spec, units.part))
            chosen = _exchanged(table, restoring, counts)
        for by_name, rows in zip(kept, chosen, strict=True):
            by_name.update(_split(names, scores, rows))
    return kept


def lowest(scores: UnitScores, counts: Sequence[int]) -> list[Kept]:
    """For each count: what is kept [rows, in] when every row loses its `count` lowest scores, ties by lower index.

    The same as a stable ascending sort of every row. One sort of the values serves all counts, ten times faster than
    sorting indices.
    """
    ascending = np.sort(scores, axis=1)
    return [_above(scores, ascending[:, count - 1 : count], count) for count in counts]


def _above(scores: UnitScores, threshold: UnitScores, count: int) -> Kept:
    if count == 0:
        return np.ones_like(scores, dtype=bool)
    kept = scores > threshold  # [rows, in]
    tied = np.flatnonzero((~kept).sum(axis=1) > count)
    for row in tied:
        equal = np.flatnonzero(scores[row] == threshold[row])
        kept[row, equal[count - int((scores[row] < threshold[row]).sum()) :]] = True
    return kept


def _exchanged(scores: UnitScores, restoring: UnitScores, counts: Sequence[int]) -> list[Kept]:
    """As `lowest`, but the last of those to go are chosen by `restoring`: its highest come back for others."""
    width = scores.shape[1]
    more = [count + int(min(count, width - count) * EXCHANGED) for count in counts]
    candidates = lowest(scores, more)
    return [
        lowest(np.where(kept, np.inf, restoring), [count])[0] for kept, count in zip(candidates, counts, strict=True)
    ]


def _pools(spec: JobSpec, units: Units) -> Iterator[list[str]]:
    """Names that are scored together: each alone, or all that fall under the same ratio rule."""
    if scope_of(spec, units.part) != "global":
        yield from ([name] for name in units.known_as)
        return
    pools: dict[int | None, list[str]] = {}
    for name, known_as in units.known_as.items():
        pools.setdefault(rule_for(spec, units.part, known_as), []).append(name)
    yield from pools.values()


def _table(scores: Sequence[UnitScores], scope: str) -> UnitScores:
    if scope == "row":
        return scores[0]
    if pattern := pattern_of(scope):
        width = scores[0].shape[1]
        if width % pattern[1]:
            raise InvalidInput(f"Scope `{scope}` does not divide a layer of {width} inputs.", pointer="/scope")
        return scores[0].reshape(-1, pattern[1])
    return np.concatenate([layer.reshape(1, -1) for layer in scores], axis=1)


def _split(names: Sequence[str], scores: Sequence[UnitScores], kept: Kept) -> Iterator[tuple[str, Bits]]:
    """A pool's choice as the bits of its layers again."""
    ends = np.cumsum([layer.size for layer in scores])[:-1]
    for name, layer, part in zip(names, scores, np.split(kept.reshape(-1), ends), strict=True):
        yield name, Bits.pack(part.reshape(layer.shape))


def _array(scores: Tensor) -> UnitScores:
    array: UnitScores = scores.detach().cpu().numpy()
    return array
