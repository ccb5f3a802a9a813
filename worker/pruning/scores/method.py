"""What a method is to the worker: what it asks of the samples, and one number for each unit.

What people may say to it and read of it is its model in `microlith.contract.methods`; `worker.pruning.scores.registry`
joins the two by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from app.domain.families import Attention, FeedForward
from microlith.contract import JobSpec
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits
from worker.pruning.selection import Scorer, Units, select
from worker.pruning.statistics import LayerStatistics, Statistics
from worker.sampling.concern import ConcernSamples


@dataclass(frozen=True)
class Needs:
    """What a method asks of the samples; each pass is run only where somebody needs it."""

    inputs: bool = False
    """Statistics of what the scored layers read: `ConcernEvidence.statistics_of`."""
    pairs: bool = False
    """Those of pairs of samples, where the spec pairs them."""
    gradients: bool = False
    """Gradients of the concern's loss: of weights, or the effects of neurons."""
    head_effects: bool = True
    """Effects of heads, where heads are removed."""
    layer_costs: bool = True
    """What the removal of whole layers costs, where they are removed."""


@dataclass(frozen=True)
class ConcernEvidence:
    """All that a method may look at when it scores the units of the unpruned model for one concern."""

    model: nn.Module
    anatomy: Anatomy
    spec: JobSpec
    concern: int
    samples: Mapping[int, ConcernSamples]
    """Those of every concern of the job."""
    statistics: Statistics | None = None
    heads: Tensor | None = None
    """[blocks, heads], blocks as in `anatomy.attentions`."""
    neurons: Mapping[str, Tensor] = field(default_factory=dict)
    """[neurons] by the layer that reads them."""
    gradients: Mapping[str, Tensor] = field(default_factory=dict)
    """[out, in] by layer."""
    order: Sequence[str] = ()
    """The blocks that may go whole, the one that is missed least first."""

    def weight(self, layer: str) -> Tensor:
        """The weights of a layer [out, in], on the CPU."""
        return linear(self.model, layer).weight.detach().cpu()

    def statistics_of(self, layer: str) -> tuple[LayerStatistics, int]:
        """The sums over what a layer read, and the concern's place among their rows."""
        assert self.statistics is not None
        return self.statistics.layers[layer], self.statistics.concerns.index(self.concern)


class Scoring:
    """One method. A new one says what it needs and how it scores weights; neurons and heads follow."""

    needs = Needs()

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """Scores of a layer's weights [out, in], finite."""
        raise NotImplementedError

    def keep_weights(
        self, evidence: ConcernEvidence, units: Units, restorer: Scorer | None
    ) -> Sequence[dict[str, Bits]]:
        """What is kept by layer, once for each ratio: all but the lowest scores (see `select`)."""
        return select(evidence.spec, units, partial(self.weights, evidence), restorer)

    def neuron_layers(self, _spec: JobSpec, part: FeedForward) -> Sequence[str]:
        """The layers by whose weights neurons are judged: the one that reads them."""
        return (part.output,)

    def neurons(self, evidence: ConcernEvidence, part: FeedForward) -> Tensor:
        """Scores of a block's neurons [neurons]: the norms of their columns of weight scores in what reads them."""
        return norms(self.weights(evidence, part.output).double(), dim=0)

    def heads(self, evidence: ConcernEvidence, part: Attention) -> Tensor:
        """Scores of a block's heads [heads]: their effects."""
        assert evidence.heads is not None
        parts = evidence.anatomy
        return evidence.heads[parts.attentions.index(part), : parts.heads(part)]

    def layers(self, evidence: ConcernEvidence) -> Sequence[str]:
        """The blocks that may go whole, in the order they go: by what their removal costs."""
        return evidence.order


def norms(scores: Tensor, dim: int) -> Tensor:
    """L2 norms along a dimension, finite."""
    lengths: Tensor = torch.linalg.vector_norm(scores, dim=dim)
    return lengths.clamp(max=torch.finfo(lengths.dtype).max)
