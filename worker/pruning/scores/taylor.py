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
from worker.compute.batches import Batch, Checkpoint, device_of, run_batches, unwatched
from worker.compute.examples import Examples
from worker.families.layers import linear
from worker.pruning.backward import Gradients, run_backward
from worker.pruning.heads import HeadEffects, HeadTally
from worker.pruning.layer_inputs import by_example
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


def weight_gradients(
    layers: Sequence[str],
    model: nn.Module,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    tally: HeadTally | None = None,
    checkpoint: Checkpoint = unwatched,
) -> Iterator[tuple[int, ByLayer]]:
    """Concern by concern: the gradient of its mean cross-entropy over its positive samples, of each layer's weights.

    A `tally` notes the heads of the same passes. `checkpoint` hears the rows done after each batch and may raise.
    Raises UnsupportedModel for a gradient that is not finite. Use each concern's gradients
    before asking for the next, so that memory stays within the budget.
    """
    size = 4 * sum(linear(model, name).weight.numel() for name in layers)
    together = max(1, GRADIENT_BUDGET // (2 * size))
    yield from _by_concern(model, layers, examples, samples, _Pass(_outer, together, tally, checkpoint))


def neuron_effects(
    layers: Sequence[str],
    model: nn.Module,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    tally: HeadTally | None = None,
    checkpoint: Checkpoint = unwatched,
) -> Iterator[tuple[int, ByLayer]]:
    """The same of the neurons that each layer reads: Σ over tokens of |activation · gradient|, mean over samples."""
    yield from _by_concern(model, layers, examples, samples, _Pass(_effect, max(1, len(samples)), tally, checkpoint))


def taylor_rows(samples: Mapping[int, ConcernSamples]) -> int:
    """The rows that a backward pass runs: what its checkpoint counts up to, where no row serves two concerns."""
    return sum(len(set(drawn.positive)) for drawn in samples.values())


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
class _Pass:
    """How a backward pass is run: what is summed, for how many concerns at once, and who hears of it."""

    reduce: Reduce
    together: int
    tally: HeadTally | None
    checkpoint: Checkpoint


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


def _by_concern(
    model: nn.Module, layers: Sequence[str], examples: Examples, samples: Mapping[int, ConcernSamples], how: _Pass
) -> Iterator[tuple[int, ByLayer]]:
    concerns, done = list(samples), 0
    for start in range(0, len(concerns), how.together):
        chunk = {concern: samples[concern].positive for concern in concerns[start : start + how.together]}
        sums: dict[int, ByLayer] = {concern: {} for concern in chunk}
        look = partial(_look, model, layers, chunk, how)
        rows = sorted({row for drawn in chunk.values() for row in drawn})
        for batch, (found, heads) in run_batches(look, examples, rows, device=device_of(model)):
            for concern, by_layer in found.items():
                for name, added in by_layer.items():
                    _add(sums[concern], name, added)
            if how.tally is not None and heads is not None:
                how.tally.add(batch, heads)
            done += len(batch)
            how.checkpoint(done)
        for concern in chunk:
            yield concern, _finished(model, layers, sums.pop(concern), how.reduce)


def _look(
    model: nn.Module, layers: Sequence[str], chunk: Mapping[int, Sequence[int]], how: _Pass, batch: Batch
) -> tuple[dict[int, ByLayer], HeadEffects | None]:
    """What one batch adds to the sums of the concerns whose samples are in it, and its heads where they are tallied."""
    taps, contexts = _Taps(layers), None if how.tally is None else how.tally.watch()
    gradients = run_backward(model, batch, [taps] if contexts is None else [taps, contexts])
    owned = _owned(batch, chunk)
    found: dict[int, ByLayer] = {concern: {} for concern in owned.sizes}
    for name, x, gradient in taps.read(batch, gradients[0]):
        weight, scaled = linear(model, name).weight.detach(), gradient[owned.places] * owned.shares.to(gradient)
        sides = (torch.split(tensor, list(owned.sizes.values())) for tensor in (x[owned.places], scaled))
        for concern, own, its_gradient in zip(owned.sizes, *sides, strict=True):
            _add(found[concern], name, how.reduce(weight, own, its_gradient))
    return found, None if contexts is None else contexts.effects(batch, gradients[1])


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


def _finished(model: nn.Module, layers: Sequence[str], sums: ByLayer, reduce: Reduce) -> ByLayer:
    """One concern's sums on the CPU, zeros of a layer that was never run. Raises UnsupportedModel when not finite."""
    for name, found in sums.items():
        if not torch.isfinite(found).all():
            raise UnsupportedModel(f"The gradients of layer {name} are not finite, so it cannot be scored by `taylor`.")
    return {name: sums[name].cpu() if name in sums else _nothing(linear(model, name), reduce) for name in layers}


def _nothing(layer: nn.Linear, reduce: Reduce) -> Tensor:
    return reduce(layer.weight.detach(), torch.zeros(1, 1, layer.in_features), torch.zeros(1, 1, layer.out_features))
