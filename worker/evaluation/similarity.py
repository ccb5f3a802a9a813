"""How far a module moved from the base, on samples of the concern and on the rest: hidden states and answers.

Default: one pooled state per sample (the mean over its real tokens, which every architecture has), compared over
samples. Legacy: the seed system's measures, every position of inputs padded to the maximum length, over neurons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
from torch import nn

from app.domain.budgets import KEPT_BYTES
from microlith.contract import SideSimilarity, Similarity, SimilarityValues
from microlith.contract.module import LegacySimilarity
from worker.compute.arrays import Floats
from worker.compute.batches import Batch, forward, mean_over_positions
from worker.compute.examples import Examples
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, agreement
from worker.evaluation.measures import (
    RealMatrix,
    cca_of,
    debiased_kernel_cka,
    debiased_linear_cka,
    kernel_cka_of,
    linear_cka_of,
    principal,
    svcca,
)
from worker.evaluation.shared_batches import Course
from worker.evaluation.shortcuts import Shortcuts
from worker.sampling.concern import ConcernSamples


@dataclass(frozen=True)
class StatesWanted:
    """What to keep of a forward pass: pads in, as the seed system does, and every layer or the last alone."""

    pads: Literal["exclude", "include"] = "exclude"
    layers: Literal["last", "all"] = "last"


@dataclass(frozen=True)
class States:
    """A model's states and answers on some samples; float64, but for the tokens."""

    pooled: list[RealMatrix]  # per layer, the last one last: [samples, hidden]
    tokens: Floats | None  # [samples, positions, hidden] of the last layer, pads in; only where pads are included
    logits: RealMatrix  # [samples, classes]

    @cached_property
    def directions(self) -> list[RealMatrix]:
        """The principal directions of each layer's pooled states."""
        return [principal(states) for states in self.pooled]

    def take(self, places: Sequence[int]) -> States:
        """The states of some samples, in the order asked."""
        at = np.asarray(places, dtype=np.int64)
        tokens = None if self.tokens is None else self.tokens[at]
        return States([states[at] for states in self.pooled], tokens, self.logits[at])

    @classmethod
    def joined(cls, parts: Sequence[States]) -> States:
        """The states of all samples of some parts, in their order."""
        tokens = [part.tokens for part in parts if part.tokens is not None]
        return cls(
            pooled=[np.concatenate(layer) for layer in zip(*(part.pooled for part in parts), strict=True)],
            tokens=np.concatenate(tokens) if tokens else None,
            logits=np.concatenate([part.logits for part in parts]) if parts else np.empty((0, 0)),
        )

    @property
    def nbytes(self) -> int:
        """What they take in memory."""
        tokens = 0 if self.tokens is None else self.tokens.nbytes
        return tokens + sum(array.nbytes for array in (*self.pooled, self.logits))


@dataclass(frozen=True)
class HiddenStates:
    """A model's states on the samples of a concern."""

    concern: States
    rest: States

    @classmethod
    def of(cls, states: States, samples: ConcernSamples) -> HiddenStates:
        """Those of all samples, the concern's first."""
        places, positive = range(len(states.logits)), len(samples.positive)
        return cls(concern=states.take(places[:positive]), rest=states.take(places[positive:]))


@dataclass
class BaseStates:
    """What the base makes of the samples of all concerns, run together and kept where there is room for it.

    Where there is not, each concern's run by themselves. Either way a concern's states are the same to the last bit,
    whichever concerns were asked for before: float32 sums depend on what runs in one batch.
    """

    examples: Examples
    wanted: StatesWanted
    rows: Sequence[int]
    room: int = KEPT_BYTES
    _room_for_all: bool | None = None
    _kept: States | None = None

    def of(self, model: nn.Module, samples: ConcernSamples) -> HiddenStates:
        """The base's states on the samples of a concern."""
        rows = (*samples.positive, *samples.negative)
        if self._room_for_all is None:
            self._room_for_all = self._seen(model, self.rows[:1]).nbytes * len(self.rows) <= self.room
            self._kept = self._seen(model, self.rows) if self._room_for_all else None
        if self._kept is None:
            return HiddenStates.of(self._seen(model, rows), samples)
        places = {row: place for place, row in enumerate(self.rows)}
        return HiddenStates.of(self._kept.take([places[row] for row in rows]), samples)

    def _seen(self, model: nn.Module, rows: Sequence[int]) -> States:
        course = Course(self.examples, rows, _pad_to(self.examples, self.wanted), room=0)
        return states_of(model, course, self.wanted)


def hidden_states(
    model: nn.Module, examples: Examples, samples: ConcernSamples, wanted: StatesWanted | None = None
) -> HiddenStates:
    """The states of one model that is looked at once. The model is left in eval mode."""
    wanted = wanted or StatesWanted()
    return states_along(model, course_over(examples, samples, wanted), samples, wanted)


def course_over(
    examples: Examples, samples: ConcernSamples, wanted: StatesWanted, shortcuts: Shortcuts | None = None
) -> Course:
    """The way that a concern's modules go over its samples, the concern's before the rest's.

    Every position of every state may be looked at here. Without shortcuts nothing is kept, as for a single module.
    """
    whole = replace(shortcuts or Shortcuts(), tail=None, unread=frozenset())
    rows, room = (*samples.positive, *samples.negative), None if shortcuts else 0
    return Course(examples, rows, _pad_to(examples, wanted), whole, room=room)


def states_along(model: nn.Module, course: Course, samples: ConcernSamples, wanted: StatesWanted) -> HiddenStates:
    """A model's states on the samples that the course leads over."""
    return HiddenStates.of(states_of(model, course, wanted), samples)


def states_of(model: nn.Module, course: Course, wanted: StatesWanted) -> States:
    """A model's states on the rows of a course, in the order it was given them."""
    rows: Sequence[int] = [] if course.rows is None else list(course.rows)
    looks = list(course.run(model, partial(_look, model, wanted)))
    back = _places([row for batch, _ in looks for row in batch.rows.tolist()], rows)
    return States.joined([states for _, states in looks]).take(back)


Meanings = tuple[Meaning, Meaning]
"""What the logits of a base mean, and those of its module."""


def compare(base: HiddenStates, module: HiddenStates, meanings: Meanings = (SINGLE_LABEL, SINGLE_LABEL)) -> Similarity:
    """Similarity of the module's states to the base's; `legacy` is there when both were taken with pads."""
    legacy = None
    if base.concern.tokens is not None and base.rest.tokens is not None:
        legacy = LegacySimilarity(
            concern=_over_neurons(base.concern, module.concern), rest=_over_neurons(base.rest, module.rest)
        )
    concern, rest = (_side(*pair, meanings) for pair in ((base.concern, module.concern), (base.rest, module.rest)))
    return Similarity(concern=concern, rest=rest, legacy=legacy)


def _pad_to(examples: Examples, wanted: StatesWanted) -> int | None:
    return examples.max_length if wanted.pads == "include" else None


def _places(run: Sequence[int], asked: Sequence[int]) -> list[int]:
    """Where each row that was asked for stands among those that were run; a row may be there more than once."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(run):
        places[row].append(place)
    return [places[row].pop(0) for row in asked]


def _look(model: nn.Module, wanted: StatesWanted, batch: Batch) -> States:
    """The states of one batch, in its order."""
    answer = forward(model, batch, output_hidden_states=True)
    found = answer.get("hidden_states") or answer["decoder_hidden_states"]  # where a decoder reads the text again
    kept = found[1:] if wanted.layers == "all" else found[-1:]
    return States(
        pooled=[mean_over_positions(states.double(), batch).cpu().numpy() for states in kept],
        tokens=kept[-1].float().cpu().numpy() if wanted.pads == "include" else None,
        logits=answer.logits.double().cpu().numpy(),
    )


def _side(base: States, module: States, meanings: Meanings) -> SideSimilarity:
    if not len(base.logits):
        return SideSimilarity(cca=None, linear_cka=None, kernel_cka=None, samples=0)
    of_base, of_module = meanings
    layers = [_over_samples(base, module, place) for place in range(len(base.pooled))]
    return SideSimilarity(
        **layers[-1].model_dump(),
        agreement=agreement(of_base.answers(base.logits), of_module.answers(module.logits)),
        kl=of_module.divergence(base.logits, module.logits),
        layers=layers if len(layers) > 1 else None,
    )


def _over_samples(base: States, module: States, layer: int) -> SimilarityValues:
    x, y = base.pooled[layer], module.pooled[layer]
    left, right = base.directions[layer], module.directions[layer]
    return SimilarityValues(
        cca=svcca(left, right),
        linear_cka=debiased_linear_cka(x, y),
        kernel_cka=debiased_kernel_cka(x, y),
        samples=len(x),
        directions=[left.shape[1], right.shape[1]],
    )


def _over_neurons(base: States, module: States) -> SimilarityValues:
    if base.tokens is None or module.tokens is None or not len(base.tokens):
        return SimilarityValues(cca=None, linear_cka=None, kernel_cka=None)
    both = np.concatenate([base.tokens, module.tokens], axis=-1).astype(np.float64)
    width, positions = base.tokens.shape[-1], both.reshape(-1, both.shape[-1])  # [positions, hidden + hidden]
    inner, mean = positions.T @ positions, positions.mean(0)
    count = len(positions)
    x, y = inner[:width, :width], inner[width:, width:]
    return SimilarityValues(
        cca=cca_of((inner - count * np.outer(mean, mean)) / (count - 1), width),
        linear_cka=linear_cka_of(x, y),
        kernel_cka=kernel_cka_of(x, y),
    )
