"""How far a module's last hidden states moved from the base's, on the concern and on the rest.

Default: one pooled state per sample (the mean over its real tokens, which every architecture has), compared over
samples. Legacy: the seed system's measures, every position of inputs padded to the maximum length, over neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from microlith.contract import Similarity, SimilarityValues
from microlith.contract.module import LegacySimilarity
from worker.evaluation.measures import (
    LEAST_POINTS,
    cca,
    debiased_kernel_cka,
    debiased_linear_cka,
    kernel_cka,
    linear_cka,
    svcca,
)
from worker.inputs import Examples, batches, device_of, forward
from worker.sampling.concern import ConcernSamples

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class States:
    """Last hidden states of some samples; float64."""

    pooled: Matrix  # [samples, hidden]
    tokens: Matrix | None  # [samples · positions, hidden], pads in; only where pads are included


@dataclass(frozen=True)
class HiddenStates:
    """A model's states on the samples of a concern."""

    concern: States
    rest: States


def hidden_states(
    model: nn.Module, examples: Examples, samples: ConcernSamples, pads: Literal["exclude", "include"]
) -> HiddenStates:
    """The states to compare: of the base once per concern, of a module once. The model is left in eval mode."""
    return HiddenStates(
        concern=_states(model, examples, samples.positive, pads), rest=_states(model, examples, samples.negative, pads)
    )


def compare(base: HiddenStates, module: HiddenStates) -> Similarity:
    """Similarity of the module's states to the base's; `legacy` is there when both were taken with pads."""
    legacy = None
    if base.concern.tokens is not None and base.rest.tokens is not None:
        legacy = LegacySimilarity(
            concern=_over_neurons(base.concern, module.concern), rest=_over_neurons(base.rest, module.rest)
        )
    return Similarity(
        concern=_over_samples(base.concern, module.concern),
        rest=_over_samples(base.rest, module.rest),
        legacy=legacy,
    )


def _states(model: nn.Module, examples: Examples, rows: Sequence[int], pads: str) -> States:
    model.eval()
    pad_to = examples.max_length if pads == "include" else None
    pooled: dict[int, Matrix] = {}
    tokens: list[Matrix] = []
    with torch.inference_mode():
        for batch in batches(examples, rows, pad_to=pad_to, device=device_of(model)):
            last = forward(model, batch, output_hidden_states=True).hidden_states[-1].double()  # [b, t, hidden]
            real = batch.attention_mask.unsqueeze(-1)
            means = ((last * real).sum(1) / real.sum(1)).cpu().numpy()
            pooled.update(zip(batch.rows.tolist(), means, strict=True))
            if pad_to:
                tokens.append(last.flatten(0, 1).cpu().numpy())
    return States(
        pooled=np.stack([pooled[row] for row in rows]) if rows else np.empty((0, 0)),
        tokens=np.concatenate(tokens) if tokens else None,
    )


def _over_samples(base: States, module: States) -> SimilarityValues:
    x, y = base.pooled, module.pooled
    if len(x) < LEAST_POINTS:
        return SimilarityValues(cca=None, linear_cka=None, kernel_cka=None)
    return SimilarityValues(cca=svcca(x, y), linear_cka=debiased_linear_cka(x, y), kernel_cka=debiased_kernel_cka(x, y))


def _over_neurons(base: States, module: States) -> SimilarityValues:
    if base.tokens is None or module.tokens is None:
        return SimilarityValues(cca=None, linear_cka=None, kernel_cka=None)
    x, y = base.tokens.T, module.tokens.T  # [hidden, positions]
    return SimilarityValues(cca=cca(x.T, y.T), linear_cka=linear_cka(x, y), kernel_cka=kernel_cka(x, y))
