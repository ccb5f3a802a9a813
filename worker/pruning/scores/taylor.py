"""Taylor: the first-order change of the concern's loss when a unit is removed.

Source: Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning". One backward pass over the positive
samples of all concerns serves every concern: the gradient of a sum of losses at the outputs of a layer is, row by row,
that of each example's own loss, so the gradient of any concern's weights is a product of its own rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from app.domain.families import FeedForward
from worker.compute.batches import Batch, Checkpoint, device_of, run_batches, unwatched
from worker.compute.examples import Examples
from worker.families.layers import linear
from worker.pruning.backward import Gradients, run_backward
from worker.pruning.heads import HeadEffects, HeadTally
from worker.pruning.layer_inputs import by_example
from worker.pruning.scores.method import ConcernEvidence, Needs, Scoring
from worker.sampling.concern import ConcernSamples

GRADIENT_BUDGET = 1 << 30
"""Bytes of gradients held at once, those of the batch at hand beside the sums. Concerns are taken together as far as
their gradients fit, one at a time at least; as concerns share no positive samples, every sample still passes forward
and backward once."""

ByLayer = dict[str, Tensor]
"""By layer: the mean loss's gradient of the weights [out, in], or the effects of the neurons that it reads [in]."""

Reduce = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From a layer's weight [out, in] and some examples' inputs [b, t, in] and output gradients [b, t, out] to what is
summed over the examples."""


class Taylor(Scoring):
    """Method `taylor`."""

    needs = Needs(gradients=True)

    def weights(self, evidence: ConcernEvidence, layer: str) -> Tensor:
        """|W · G| of the gradients at hand [out, in]."""
        return weight_scores(evidence.weight(layer), evidence.gradients[layer])

    def neurons(self, evidence: ConcernEvidence, part: FeedForward) -> Tensor:
        """The effects of the activations themselves [neurons]."""
        return evidence.neurons[part.output]


def weight_scores(weight: Tensor, gradient: Tensor) -> Tensor:
    """|W · G|, [out, in], in float64, where no product of finite float32 values overflows."""
    return (weight.double() * gradient.double()).abs()


def _outer(_weight: Tensor, x: Tensor, gradient: Tensor) -> Tensor:
    """Σ over examples and tokens of gradient ⊗ input: what backpropagation adds to the weight's gradient [out, in]."""
    return gradient.flatten(0, 1).T @ x.flatten(0, 1)


def _effect(weight: Tensor, x: Tensor, gradient: Tensor) -> Tensor:
    """Σ over examples and tokens of |input · its gradient| [in]."""
    return (x * (gradient @ weight)).abs().sum(dim=(0, 1))


@dataclass(frozen=True)
class GradientPass:
    """One backward pass over the positive samples of all concerns, a few concerns at a time.

    `reduce` says what is summed, and `together` of how many concerns at once. A `tally` notes the heads of the same
    passes.
    """

    model: nn.Module
    layers: Sequence[str]
    examples: Examples
    samples: Mapping[int, ConcernSamples]
    reduce: Reduce
    together: int
    tally: HeadTally | None = None

    @property
    def rows(self) -> int:
        """Rows that run: each once, unless concerns that do not run together share it."""
        return sum(len(_rows_of(chunk)) for chunk in self._chunks())

    def run(self, checkpoint: Checkpoint = unwatched) -> Iterator[tuple[int, ByLayer]]:
        """Concern by concern; use what comes before asking for the next, so that memory stays within the budget.

        Raises UnsupportedModel for a gradient that is not finite.
        """
        done = 0
        for chunk in self._chunks():
            sums: dict[int, ByLayer] = {concern: {} for concern in chunk}
            look, device = partial(self._look, chunk), device_of(self.model)
            for batch, (added, heads) in run_batches(look, self.examples, _rows_of(chunk), device=device):
                for concern, by_layer in added.items():
                    for name, tensor in by_layer.items():
                        _add(sums[concern], name, tensor)
                if self.tally is not None and heads is not None:
                    self.tally.add(batch, heads)
                done += len(batch)
                checkpoint(done)
            for concern in chunk:
                yield concern, self._finished(sums.pop(concern))

    def _chunks(self) -> Iterator[Mapping[int, Sequence[int]]]:
        """The positive samples of concerns that run together."""
        concerns = list(self.samples)
        for start in range(0, len(concerns), self.together):
            yield {concern: self.samples[concern].positive for concern in concerns[start : start + self.together]}

    def _look(self, chunk: Mapping[int, Sequence[int]], batch: Batch) -> tuple[dict[int, ByLayer], HeadEffects | None]:
        """What one batch adds to the sums of the concerns whose samples are in it, and its heads if tallied."""
        taps, contexts = _Taps(self.layers), None if self.tally is None else self.tally.watch()
        gradients = run_backward(self.model, batch, [taps] if contexts is None else [taps, contexts])
        owned = _owned(batch, chunk)
        added: dict[int, ByLayer] = {concern: {} for concern in owned.sizes}
        for name, x, gradient in taps.read(batch, gradients[0]):
            weight, scaled = (
                linear(self.model, name).weight.detach(),
                gradient[owned.places] * owned.shares.to(gradient),
            )
            sides = (torch.split(tensor, list(owned.sizes.values())) for tensor in (x[owned.places], scaled))
            for concern, own, its_gradient in zip(owned.sizes, *sides, strict=True):
                _add(added[concern], name, self.reduce(weight, own, its_gradient))
        return added, None if contexts is None else contexts.effects(batch, gradients[1])

    def _finished(self, sums: ByLayer) -> ByLayer:
        """One concern's sums on the CPU, zeros of a layer that was never run."""
        for name, summed in sums.items():
            if not torch.isfinite(summed).all():
                raise UnsupportedModel(
                    f"The gradients of layer {name} are not finite, so it cannot be scored by `taylor`."
                )
        return {name: sums[name].cpu() if name in sums else self._nothing(name) for name in self.layers}

    def _nothing(self, name: str) -> Tensor:
        layer = linear(self.model, name)
        x, gradient = torch.zeros(1, 1, layer.in_features), torch.zeros(1, 1, layer.out_features)
        return self.reduce(layer.weight.detach(), x, gradient)


def weight_gradients(
    layers: Sequence[str],
    model: nn.Module,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    tally: HeadTally | None = None,
) -> GradientPass:
    """Of each layer's weights: the gradient of a concern's mean cross-entropy over its positive samples."""
    size = 4 * sum(linear(model, name).weight.numel() for name in layers)
    together = max(1, GRADIENT_BUDGET // (2 * size))
    return GradientPass(model, layers, examples, samples, _outer, together, tally)


def neuron_effects(
    layers: Sequence[str],
    model: nn.Module,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    tally: HeadTally | None = None,
) -> GradientPass:
    """Of the neurons that each layer reads: Σ over tokens of |activation · gradient|, mean over the samples."""
    return GradientPass(model, layers, examples, samples, _effect, max(1, len(samples)), tally)


def _rows_of(chunk: Mapping[int, Sequence[int]]) -> list[int]:
    return sorted({row for drawn in chunk.values() for row in drawn})


@dataclass
class _Taps:
    """A watch of layers: for every call its inputs, and zeros added to its outputs, whose gradients are those of the
    outputs. The model's own parameters need no gradients for that, and get none."""

    layers: Sequence[str]
    calls: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)

    @property
    def tensors(self) -> list[Tensor]:
        """The zeros, call by call."""
        return [zeros for _, _, zeros in self.calls]

    def hook(self, model: nn.Module, hooks: ExitStack) -> None:
        """Sets the hooks, to be removed by `hooks`."""
        for name in self.layers:
            hooks.callback(linear(model, name).register_forward_hook(partial(self._observe, name)).remove)

    def _observe(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        zeros = torch.zeros_like(output, requires_grad=True)
        self.calls.append((name, inputs[0].detach(), zeros))
        return output + zeros

    def read(self, batch: Batch, gradients: Gradients) -> Iterator[tuple[str, Tensor, Tensor]]:
        """For every call of a layer its inputs [b, t, in] and output gradients [b, t, out]."""
        for (name, x, zeros), gradient in zip(self.calls, gradients, strict=True):
            seen, reached = by_example(x, batch), zeros.detach() if gradient is None else gradient
            if len(seen) == len(batch):  # what all examples share (relative positions) is no one concern's
                yield name, seen, by_example(reached, batch)


@dataclass(frozen=True)
class _Owned:
    """A batch's rows concern by concern; one that several concerns drew comes once for each."""

    sizes: Mapping[int, int]  # by concern that has rows in the batch
    places: Tensor  # [owned], in the batch
    shares: Tensor  # [owned, 1, 1], how much of the mean over its concern's samples a row is


def _owned(batch: Batch, chunk: Mapping[int, Sequence[int]]) -> _Owned:
    sizes: dict[int, int] = {}
    places: list[int] = []
    shares: list[float] = []
    for concern, rows in chunk.items():
        drawn = Counter(rows)  # a row that was drawn twice counts twice
        own = [place for place, row in enumerate(batch.rows.tolist()) if row in drawn]
        if own:
            sizes[concern] = len(own)
            places += own
            shares += [drawn[int(batch.rows[place])] / len(rows) for place in own]
    device = batch.labels.device
    return _Owned(sizes, torch.tensor(places, device=device), torch.tensor(shares, device=device).view(-1, 1, 1))


def _add(sums: ByLayer, name: str, added: Tensor) -> None:
    """Adds to a layer's sum in place, so that only the first one takes memory."""
    if name in sums:
        sums[name].add_(added)
    else:
        sums[name] = added
