"""How far a module moved from the base, on samples of the concern and on the rest: hidden states and answers.

Default: one pooled state per sample (the mean over its real tokens, which every architecture has), compared over
samples. Legacy: the seed system's measures, every position of inputs padded to the maximum length, over neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import log_softmax
from torch import nn

from microlith.contract import SideSimilarity, Similarity, SimilarityValues
from microlith.contract.module import LegacySimilarity
from worker.evaluation.measures import (
    cca,
    debiased_kernel_cka,
    debiased_linear_cka,
    kernel_cka,
    linear_cka,
    principal_directions,
    svcca,
)
from worker.inputs import Batch, Examples, device_of, forward, mean_over_positions, run_batches
from worker.sampling.concern import ConcernSamples

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StatesWanted:
    """What to keep of a forward pass: pads in, as the seed system does, and every layer or the last alone."""

    pads: Literal["exclude", "include"] = "exclude"
    layers: Literal["last", "all"] = "last"


@dataclass(frozen=True)
class States:
    """A model's states and answers on some samples; float64."""

    pooled: list[Matrix]  # per layer, the last one last: [samples, hidden]
    tokens: Matrix | None  # [samples · positions, hidden] of the last layer, pads in; only where pads are included
    logits: Matrix  # [samples, classes]


@dataclass(frozen=True)
class HiddenStates:
    """A model's states on the samples of a concern."""

    concern: States
    rest: States


def hidden_states(
    model: nn.Module, examples: Examples, samples: ConcernSamples, wanted: StatesWanted | None = None
) -> HiddenStates:
    """The states to compare: of the base once per concern, of a module once. The model is left in eval mode."""
    wanted = wanted or StatesWanted()
    return HiddenStates(
        concern=_states(model, examples, samples.positive, wanted),
        rest=_states(model, examples, samples.negative, wanted),
    )


def compare(base: HiddenStates, module: HiddenStates) -> Similarity:
    """Similarity of the module's states to the base's; `legacy` is there when both were taken with pads."""
    legacy = None
    if base.concern.tokens is not None and base.rest.tokens is not None:
        legacy = LegacySimilarity(
            concern=_over_neurons(base.concern, module.concern), rest=_over_neurons(base.rest, module.rest)
        )
    return Similarity(concern=_side(base.concern, module.concern), rest=_side(base.rest, module.rest), legacy=legacy)


def agreement(base: Matrix, module: Matrix) -> float:
    """The fraction of samples that logits [samples, classes] give the same class."""
    return float((base.argmax(axis=1) == module.argmax(axis=1)).mean())


def divergence(base: Matrix, module: Matrix) -> float:
    """Mean KL(base ‖ module) of the softmax of logits [samples, classes], in nats; 0 is the same."""
    p, q = log_softmax(base, axis=1), log_softmax(module, axis=1)
    return max(0.0, float((np.exp(p) * (p - q)).sum(axis=1).mean()))


def _states(model: nn.Module, examples: Examples, rows: Sequence[int], wanted: StatesWanted) -> States:
    model.eval()
    pad_to = examples.max_length if wanted.pads == "include" else None
    places = {row: place for place, row in enumerate(rows)}
    parts: list[States] = []
    order: list[int] = []
    with torch.inference_mode():
        look = partial(_look, model, wanted)
        for batch, part in run_batches(look, examples, rows, pad_to=pad_to, device=device_of(model)):
            parts.append(part)
            order += [places[row] for row in batch.rows.tolist()]
    back = np.argsort(order)
    tokens = [part.tokens for part in parts if part.tokens is not None]
    return States(
        pooled=[np.concatenate(layer)[back] for layer in zip(*(part.pooled for part in parts), strict=True)],
        tokens=np.concatenate(tokens) if tokens else None,
        logits=np.concatenate([part.logits for part in parts])[back] if parts else np.empty((0, 0)),
    )


def _look(model: nn.Module, wanted: StatesWanted, batch: Batch) -> States:
    """The states of one batch, in its order."""
    answer = forward(model, batch, output_hidden_states=True)
    kept = answer.hidden_states[1:] if wanted.layers == "all" else answer.hidden_states[-1:]
    return States(
        pooled=[mean_over_positions(states.double(), batch).cpu().numpy() for states in kept],
        tokens=kept[-1].double().flatten(0, 1).cpu().numpy() if wanted.pads == "include" else None,
        logits=answer.logits.double().cpu().numpy(),
    )


def _side(base: States, module: States) -> SideSimilarity:
    if not base.pooled:
        return SideSimilarity(cca=None, linear_cka=None, kernel_cka=None, samples=0)
    layers = [_over_samples(x, y) for x, y in zip(base.pooled, module.pooled, strict=True)]
    return SideSimilarity(
        **layers[-1].model_dump(),
        agreement=agreement(base.logits, module.logits),
        kl=divergence(base.logits, module.logits),
        layers=layers if len(layers) > 1 else None,
    )


def _over_samples(x: Matrix, y: Matrix) -> SimilarityValues:
    return SimilarityValues(
        cca=svcca(x, y),
        linear_cka=debiased_linear_cka(x, y),
        kernel_cka=debiased_kernel_cka(x, y),
        samples=len(x),
        directions=[principal_directions(x), principal_directions(y)],
    )


def _over_neurons(base: States, module: States) -> SimilarityValues:
    if base.tokens is None or module.tokens is None:
        return SimilarityValues(cca=None, linear_cka=None, kernel_cka=None)
    x, y = base.tokens.T, module.tokens.T  # [hidden, positions]
    return SimilarityValues(cca=cca(x.T, y.T), linear_cka=linear_cka(x, y), kernel_cka=kernel_cka(x, y))
