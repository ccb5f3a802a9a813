"""From evidence to masks: every concern at every ratio.

A chain removes its heads and its neurons or weights by the same evidence, that of the whole model: one pass serves
both, and neither choice waits for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from app.domain.families import FeedForward
from app.domain.methods import ratios_for
from microlith.contract import CiMethod, JobSpec, WandaMethod, ZscoreMethod
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.evidence import Evidence, by_output
from worker.pruning.masks import Bits, Mask
from worker.pruning.recovery import mended, weight_restorer
from worker.pruning.removable_parts import Targets, targets_of
from worker.pruning.scores import ci, plain, wanda
from worker.pruning.selection import Scorer, Units, select
from worker.pruning.statistics import Statistics

_PARTS = ("weights", "neurons", "heads")


def prune(
    model: nn.Module,
    anatomy: Anatomy,
    evidence: Evidence,
    spec: JobSpec,
    layers: Sequence[str],
    concerns: Sequence[int],
) -> Iterator[tuple[int, float, Mask]]:
    """One mask per concern and ratio, all ratios of a concern before the next concern, each made when it is asked for.

    Every pool of units (see `selection`) loses exactly its count of lowest scores, except under z-score's rule
    `quantile`. The model is only read. Raises as `targets_of` and `mended` do.
    """
    targets = targets_of(anatomy, spec, layers)
    for concern in concerns:
        kept = _Concern(model, anatomy, evidence, spec, targets, concern).kept()
        for place, ratio in enumerate(spec.ratios):
            weights, neurons, heads = (kept[part][place] if part in kept else {} for part in _PARTS)
            mask = Mask(spec.structure, weights, neurons, heads)
            if evidence.statistics is not None:
                mask = mended(model, mask, anatomy, evidence.statistics, spec.recovery, concern)
            yield concern, ratio, mask


@dataclass(frozen=True)
class _Concern:
    """The scores of every unit for one concern."""

    model: nn.Module
    anatomy: Anatomy
    evidence: Evidence
    spec: JobSpec
    targets: Targets
    concern: int

    def kept(self) -> dict[str, Sequence[dict[str, Bits]]]:
        """What is kept of each part of the structure, once for each ratio."""
        kept: dict[str, Sequence[dict[str, Bits]]] = {}
        if self.targets.heads:
            kept["heads"] = select(self.spec, self.targets.units("heads"), self._heads)
        if self.targets.neurons:
            kept["neurons"] = select(self.spec, self.targets.units("neurons"), self._neurons, self._neuron_restorer())
        if self.targets.weights:
            kept["weights"] = self._kept_weights(self.targets.units("weights"))
        return kept

    def _kept_weights(self, units: Units) -> Sequence[dict[str, Bits]]:
        if self.concern in self.evidence.weights:
            return self.evidence.weights[self.concern]
        if isinstance(self.spec.method, ZscoreMethod) and self.spec.method.rule == "quantile":
            return self._within_quantiles(units)
        restorer = weight_restorer(self.model, self.evidence.statistics, self.spec, self.concern)
        return select(self.spec, units, self._weights, restorer)

    def _within_quantiles(self, units: Units) -> list[dict[str, Bits]]:
        kept: list[dict[str, Bits]] = [{} for _ in self.spec.ratios]
        for name, known_as in units.known_as.items():
            scores = plain.zscore(self._weight(name))
            for by_name, ratio in zip(kept, ratios_for(self.spec, "weights", known_as), strict=True):
                by_name[name] = Bits.pack(plain.quantile_kept(scores, ratio).numpy())
        return kept

    def _weights(self, name: str) -> Tensor:
        """Scores of a layer's weights [out, in]."""
        weight, method = self._weight(name), self.spec.method
        match method.name:
            case "ci":
                return ci.weight_scores(weight, self._coefficients(name))
            case "wanda":
                return wanda.weight_scores(weight, self._norms(name))
            case "magnitude":
                return plain.magnitude(weight)
            case "zscore":
                return plain.zscore(weight).abs()
            case _:
                return self._lots(weight.shape, f"weights of {name}")

    def _neurons(self, block: str) -> Tensor:
        """Scores of a block's neurons [neurons].

        The norm of a neuron's column of weight scores in the layer that reads it; CI can judge by the layers that
        write it; Taylor has effects of the activations themselves.
        """
        part = self._part(block)
        if self.concern in self.evidence.neurons:
            return self.evidence.neurons[self.concern][part.output]
        if self.spec.method.name == "random":
            return self._lots((self.anatomy.neurons(part),), f"neurons of {block}")
        if by_output(self.spec):
            return _norms(self._weights(part.output).double(), dim=0)
        neurons = self.anatomy.neurons(part)
        rows = [self._weights(writer)[offset : offset + neurons] for writer, offset in self.anatomy.neuron_rows(part)]
        return _norms(torch.cat(rows, dim=1), dim=1)

    def _neuron_restorer(self) -> Scorer | None:
        weights = weight_restorer(self.model, self.evidence.statistics, self.spec, self.concern)
        return None if weights is None else partial(self._restored_neurons, weights)

    def _restored_neurons(self, weights: Scorer, block: str) -> Tensor:
        return _norms(weights(self._part(block).output), dim=0)

    def _heads(self, block: str) -> Tensor:
        """Scores of a block's heads [heads]."""
        places = {part.block: place for place, part in enumerate(self.anatomy.attentions)}
        if self.concern in self.evidence.heads:
            return self.evidence.heads[self.concern][places[block]]
        return self._lots((self.anatomy.heads(self.anatomy.attentions[places[block]]),), f"heads of {block}")

    def _coefficients(self, name: str) -> Tensor:
        statistics, method = self._statistics, self.spec.method
        assert isinstance(method, CiMethod)
        return ci.coefficient(
            ci.contrast(statistics.layers[name], statistics.concerns.index(self.concern)), method.form
        )

    def _norms(self, name: str) -> Tensor:
        method, samples = self.spec.method, self.evidence.samples
        if isinstance(method, WandaMethod) and method.samples == "all":
            return wanda.pooled_norms(self._statistics, samples, name)
        return wanda.concern_norms(self._statistics, samples, name, self.concern)

    def _lots(self, shape: Sequence[int], units: str) -> Tensor:
        return plain.lots(shape, self.spec.sampling.seed, self.concern, units)

    def _part(self, block: str) -> FeedForward:
        return next(part for part in self.targets.neurons if part.block == block)

    def _weight(self, name: str) -> Tensor:
        return linear(self.model, name).weight.detach().cpu()

    @property
    def _statistics(self) -> Statistics:
        assert self.evidence.statistics is not None
        return self.evidence.statistics


def _norms(scores: Tensor, dim: int) -> Tensor:
    """L2 norms along a dimension, finite."""
    norms: Tensor = torch.linalg.vector_norm(scores, dim=dim)
    return norms.clamp(max=torch.finfo(norms.dtype).max)
