"""Proof of what was found in a model: without a unit it answers as with zeros in its place, and not as before.

Half of the neurons of every block go, and are really gone. Heads go in as many halves as it takes to tell any two of
them apart; there zeros in the rows that write them must be worth the same as zeros in the columns that read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from app.domain.methods import UnitKind
from worker.compute.batches import Batch, forward
from worker.compute.memory import out_of_memory
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.families.widths import find_widths
from worker.pruning.masks import Bits, Mask, applied, kept_columns
from worker.pruning.narrowing import narrow

TOLERANCE = 1e-4
"""Of the largest logit: float32 sums in another order."""


def proved(model: nn.Module, batch: Batch, found: Anatomy) -> Anatomy:
    """What holds of `found`. Parts that it does not hold of are left out, and `lacking` says why."""
    trial = _Trial.of(model, batch)
    if found.feed_forwards and (why := _said(partial(trial.refute_neurons, found))):
        found = replace(found, feed_forwards=(), lacking={**found.lacking, "neurons": why})
    if found.attentions and (why := _said(partial(trial.refute_heads, found))):
        found = replace(found, attentions=(), head_counts={}, lacking={**found.lacking, "heads": why})
    return replace(found, widths=find_widths(model, found), heads_stay=not trial.can_lose_heads(found))


@dataclass(frozen=True)
class _Trial:
    model: nn.Module
    batch: Batch
    plain: Tensor  # [b, classes], what the whole model answers

    @classmethod
    def of(cls, model: nn.Module, batch: Batch) -> _Trial:
        with torch.no_grad():
            return cls(model, batch, forward(model.eval(), batch).logits)

    def refute_neurons(self, found: Anatomy) -> str | None:
        """Why half of the neurons cannot go; None where they can."""
        rng = np.random.default_rng(0)
        counts = {part.block: found.neurons(part) for part in found.feed_forwards}
        mask = Mask("neurons", neurons={block: Bits.pack(_half(count, rng)) for block, count in counts.items()})
        masked = self._masked(mask, found)
        gone = self._answers(narrow(self.model, mask, replace(found, widths=())).model)
        return self._refuted("neurons", masked, gone)

    def refute_heads(self, found: Anatomy) -> str | None:
        """Why heads cannot go; None where they can."""
        for mask in _halves(found):
            with _read_without(self.model, mask, found):
                unread = self._answers(self.model)
            if why := self._refuted("heads", self._masked(mask, found), unread):
                return why
        return None

    def can_lose_heads(self, found: Anatomy) -> bool:
        """Whether the model runs without heads as with zeros in their place."""
        masks = list(_halves(found))[:1]
        try:
            return all(
                self._same(self._answers(narrow(self.model, mask, found).model), self._masked(mask, found))
                for mask in masks
            )
        except Exception:  # whatever a model says that counts its heads elsewhere too
            return False

    def _refuted(self, units: UnitKind, masked: Tensor, gone: Tensor) -> str | None:
        if not self._same(masked, gone):
            apart = float((masked - gone).abs().max())
            return f"Without half of its {units} it answers otherwise than with zeros in their place: by {apart:.2g}."
        return f"Without half of its {units} it answers as before." if self._same(masked, self.plain) else None

    def _masked(self, mask: Mask, found: Anatomy) -> Tensor:
        with applied(self.model, mask, found):
            return self._answers(self.model)

    def _answers(self, model: nn.Module) -> Tensor:
        with torch.no_grad():
            logits: Tensor = forward(model, self.batch).logits
            return logits

    def _same(self, one: Tensor, other: Tensor) -> bool:
        scale = max(float(self.plain.abs().max()), 1e-3)
        return bool((one - other).abs().max() <= TOLERANCE * scale)


def _said(refute: Callable[[], str | None]) -> str | None:
    """What a trial says, or what the model says to it."""
    try:
        return refute()
    except Exception as error:  # whatever a model does that is made otherwise than it looks
        if out_of_memory(error):
            raise
        return f"It does not run without some of them: {type(error).__name__}."


def _half(count: int, rng: np.random.Generator) -> Any:
    """Kept or not [count], one half each."""
    return rng.permutation(np.arange(count) % 2 == 0)


def _halves(found: Anatomy) -> Iterator[Mask]:
    """Masks of heads such that of any two heads of a block one goes and the other stays in at least one of them."""
    counts = {part.block: found.heads(part) for part in found.attentions}
    for bit in range(max(counts.values(), default=1).bit_length()):
        for kept in (0, 1):
            heads = {block: Bits.pack((np.arange(count) >> bit) % 2 == kept) for block, count in counts.items()}
            if any(0 < bits.kept < bits.size for bits in heads.values()):
                yield Mask("heads", heads=heads)


@contextmanager
def _read_without(model: nn.Module, mask: Mask, found: Anatomy) -> Iterator[None]:
    """What is removed is written as ever, and read as zeros."""
    with ExitStack() as hooks:
        for name, kept in kept_columns(model, mask, found).items():
            hook = linear(model, name).register_forward_pre_hook(partial(_without, kept))
            hooks.callback(hook.remove)
        yield


def _without(kept: Tensor, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0] * kept.to(inputs[0].device), *inputs[1:])
