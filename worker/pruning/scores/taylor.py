"""Taylor: the first-order change of the concern's loss when a unit is removed.

Source: Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning". One backward pass over the positive
samples of all concerns serves every concern: the gradient of a sum of losses at the outputs of a layer is, row by row,
that of each example's own loss, so the gradient of any concern's weights is a product of its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from worker.families.layers import linear
from worker.inputs import Batch, Checkpoint, Examples, batches, device_of, forward, unwatched
from worker.pruning.statistics import by_example
from worker.sampling.concern import ConcernSamples

GRADIENT_BUDGET = 1 << 30
"""Bytes of gradients held at once. Concerns are taken together as far as their gradients fit, one at a time at least;
as concerns share no positive samples, every sample still passes forward and backward once."""

Gradients = dict[str, Tensor]
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
    checkpoint: Checkpoint = unwatched,
) -> Iterator[tuple[int, Gradients]]:
    """Concern by concern: the gradient of its mean cross-entropy over its positive samples, of each layer's weights.

    `checkpoint` hears the rows done after each batch and may raise. Raises UnsupportedModel for a gradient that is not
    finite. Use each concern's gradients before asking for the next, so that memory stays within the budget.
    """
    size = 4 * sum(linear(model, name).weight.numel() for name in layers)
    together = max(1, GRADIENT_BUDGET // size)
    yield from _by_concern(model, layers, examples, samples, _Pass(_outer, together, checkpoint))


def neuron_effects(
    layers: Sequence[str],
    model: nn.Module,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    checkpoint: Checkpoint = unwatched,
) -> Iterator[tuple[int, Gradients]]:
    """The same of the neurons that each layer reads: Σ over tokens of |activation · gradient|, mean over samples."""
    yield from _by_concern(model, layers, examples, samples, _Pass(_effect, max(1, len(samples)), checkpoint))


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
    checkpoint: Checkpoint


@dataclass
class _Taps:
    """What hooks saw of one forward pass: for every call of a layer its inputs, and zeros added to its outputs whose
    gradients are those of the outputs. The model's own parameters need no gradients for that, and get none."""

    calls: list[tuple[str, Tensor, Tensor]] = field(default_factory=list)

    def observe(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        zeros = torch.zeros_like(output, requires_grad=True)
        self.calls.append((name, inputs[0].detach(), zeros))
        return output + zeros


def _by_concern(
    model: nn.Module, layers: Sequence[str], examples: Examples, samples: Mapping[int, ConcernSamples], how: _Pass
) -> Iterator[tuple[int, Gradients]]:
    concerns, done = list(samples), 0
    for start in range(0, len(concerns), how.together):
        chunk = {concern: samples[concern].positive for concern in concerns[start : start + how.together]}
        sums: dict[int, Gradients] = {concern: {} for concern in chunk}
        for batch in batches(
            examples, sorted({row for rows in chunk.values() for row in rows}), device=device_of(model)
        ):
            _add(model, layers, batch, chunk, how.reduce, sums)
            done += len(batch)
            how.checkpoint(done)
        for concern in chunk:
            yield concern, _finished(model, layers, sums.pop(concern), how.reduce)


def _add(
    model: nn.Module,
    layers: Sequence[str],
    batch: Batch,
    chunk: Mapping[int, Sequence[int]],
    reduce: Reduce,
    sums: dict[int, Gradients],
) -> None:
    """Adds one batch to the sums of the concerns whose samples are in it."""
    shares = {concern: _shares(batch, rows) for concern, rows in chunk.items()}
    for name, x, gradient in _tapped(model, layers, batch):
        weight = linear(model, name).weight.detach()
        for concern, share in shares.items():
            if not (own := share.nonzero().flatten()).numel():
                continue
            # The mean over the samples: a row that was drawn twice counts twice.
            scaled = gradient[own] * share[own].to(gradient).view(-1, 1, 1)
            found, so_far = reduce(weight, x[own], scaled), sums[concern].get(name)
            sums[concern][name] = found if so_far is None else so_far.add_(found)


def _shares(batch: Batch, rows: Sequence[int]) -> Tensor:
    """How much of the mean over `rows` each row of the batch is [b]."""
    drawn = list(rows)
    return torch.tensor([drawn.count(row) / len(drawn) for row in batch.rows.tolist()], dtype=torch.float64)


def _tapped(model: nn.Module, layers: Sequence[str], batch: Batch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Runs a batch forward and backward: for every call of a layer its inputs [b, t, in] and output gradients."""
    taps = _Taps()
    model.eval()
    with torch.enable_grad(), ExitStack() as hooks:
        for name in layers:
            hooks.callback(linear(model, name).register_forward_hook(partial(taps.observe, name)).remove)
        loss = F.cross_entropy(forward(model, batch).logits.float(), batch.labels, reduction="sum")
    gradients = torch.autograd.grad(loss, [zeros for _, _, zeros in taps.calls], allow_unused=True)
    for (name, x, zeros), gradient in zip(taps.calls, gradients, strict=True):
        seen, reached = by_example(x, batch), zeros.detach() if gradient is None else gradient
        if len(seen) == len(batch):  # what all examples share (relative positions) is no one concern's
            yield name, seen, by_example(reached, batch)


def _finished(model: nn.Module, layers: Sequence[str], sums: Gradients, reduce: Reduce) -> Gradients:
    """One concern's sums on the CPU, zeros of a layer that was never run. Raises UnsupportedModel when not finite."""
    for name, found in sums.items():
        if not torch.isfinite(found).all():
            raise UnsupportedModel(f"The gradients of layer {name} are not finite, so it cannot be scored by `taylor`.")
    return {name: sums[name].cpu() if name in sums else _nothing(linear(model, name), reduce) for name in layers}


def _nothing(layer: nn.Linear, reduce: Reduce) -> Tensor:
    return reduce(layer.weight.detach(), torch.zeros(1, 1, layer.in_features), torch.zeros(1, 1, layer.out_features))
