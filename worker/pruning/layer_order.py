"""Which whole layers are missed least: one after another goes, each time the one without which the rest tells most.

What is left tells as much as a least-squares fit of it can say of what the base hands to its classifier, judged on
examples that the fit has not seen. The classifier itself is not asked: it is solved anew for whatever is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from worker.compute.batches import Batch, Checkpoint, device_of, run_batches, unwatched
from worker.compute.examples import Examples
from worker.compute.passage import Call, Passage
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.layer_groups import groups_of, reads
from worker.pruning.least_squares import RIDGE, TINY

FITTED = 1024
"""Tokens that a fit is made of, at most, spread evenly over those there are."""


@dataclass(frozen=True)
class LayerOrder:
    """A pass over examples of all classes, that finds the first `most` of the `removable` blocks to go."""

    model: nn.Module
    anatomy: Anatomy
    removable: Sequence[str]
    examples: Examples
    most: int

    @property
    def rows(self) -> int:
        """Rows that run, each through as many blocks as it takes."""
        return len(self.examples)

    @torch.inference_mode()
    def run(self, checkpoint: Checkpoint = unwatched) -> list[str]:
        """The blocks in the order they go; the last ones first in a model that cannot be opened between its blocks."""
        self.model.eval()
        batches = [batch for batch, _ in run_batches(len, self.examples, device=device_of(self.model))]
        passage = Passage(self.model, self.anatomy.blocks)
        after = [
            group for group in groups_of(self.model, self.anatomy, batches[0]) if group.place == len(passage.blocks)
        ]
        if not after or not passage.holds(batches[0]):
            return list(reversed(self.removable))
        way = _Way(passage, batches, [passage.enter(batch) for batch in batches], after[0].layers[0], checkpoint)
        left, gone = list(range(len(passage.blocks))), list[str]()
        wanted = linear(self.model, way.reader)(way.told(left, way.entered)).double()
        while len(gone) < self.most:
            states, costs = way.entered, dict[int, float]()
            for number, place in enumerate(left):
                if passage.blocks[place] in self.removable:
                    costs[place] = unexplained(way.told(left[number + 1 :], states), wanted)
                states = way.through(place, states)
            left.remove(missed_least := min(costs, key=lambda place: costs[place]))
            gone.append(passage.blocks[missed_least])
        checkpoint(self.rows)
        return gone


@dataclass(frozen=True)
class _Way:
    """All batches on their ways through some of the blocks."""

    passage: Passage
    batches: Sequence[Batch]
    calls: Sequence[tuple[Tensor, list[Call]]]
    reader: str
    checkpoint: Checkpoint

    @property
    def entered(self) -> list[Tensor]:
        return [state for state, _ in self.calls]

    def through(self, place: int, states: Sequence[Tensor]) -> list[Tensor]:
        """The states after a block."""
        self.checkpoint(0)
        return [
            self.passage.step(place, state, calls[place]) for state, (_, calls) in zip(states, self.calls, strict=True)
        ]

    def told(self, places: Sequence[int], states: Sequence[Tensor]) -> Tensor:
        """What the reader reads after these blocks [tokens, in]."""
        for place in places:
            states = self.through(place, states)
        layer = {self.reader: self.passage.model.get_submodule(self.reader)}
        read = torch.cat(
            [
                reads(partial(self.passage.leave, batch, state), layer, batch, first=True)[0][0][1]
                for batch, state in zip(self.batches, states, strict=True)
            ]
        )
        return read[:: -(-len(read) // FITTED)]


def unexplained(told: Tensor, wanted: Tensor) -> float:
    """The squared error of `wanted` [tokens, out] by ridge regression on `told` [tokens, in], each token left out.

    e_i = (A y)_i / A_ii with A = (K + λI)⁻¹ and K the inner products of the tokens.
    Source: Allen, "The relationship between variable selection and data augmentation" (1974), in its dual form.
    """
    told, wanted = told.double() - told.mean(0, dtype=torch.float64), wanted - wanted.mean(0)
    inner = told @ told.T
    ridge = RIDGE * inner.diagonal().sum() / told.shape[1] + TINY
    inverse = torch.linalg.inv(inner + ridge * torch.eye(len(inner), dtype=inner.dtype, device=inner.device))
    return float((inverse @ wanted / inverse.diagonal().unsqueeze(1)).square().sum())
