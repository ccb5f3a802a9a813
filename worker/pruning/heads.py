"""How much each attention head matters to a concern: gradient × context, of all concerns from one backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.compute.batches import Batch, Checkpoint, device_of, run_batches, unwatched
from worker.compute.examples import Examples
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.backward import Gradients, run_backward
from worker.pruning.layer_inputs import by_example
from worker.sampling.concern import ConcernSamples


@dataclass(frozen=True)
class HeadEffects:
    """What one batch says of its heads; float64, CPU."""

    effects: Tensor  # [b, blocks, heads], Σ over tokens of |gradient · context|; 0 beyond a block's own heads
    tokens: Tensor  # [b], how many count


@dataclass(frozen=True)
class HeadTally:
    """The effects of heads on every row that has passed backward."""

    anatomy: Anatomy
    _effects: dict[int, Tensor] = field(default_factory=dict)  # [blocks, heads] by row
    _tokens: dict[int, float] = field(default_factory=dict)  # by row

    def watch(self) -> Contexts:
        """What sees the heads of one pass."""
        return Contexts(self.anatomy)

    def add(self, batch: Batch, effects: HeadEffects) -> None:
        """Notes a batch; a row that passes again says the same again."""
        self._effects.update(zip(batch.rows.tolist(), effects.effects, strict=True))
        self._tokens.update(zip(batch.rows.tolist(), effects.tokens.tolist(), strict=True))

    def importance(self, samples: Mapping[int, ConcernSamples]) -> dict[int, Tensor]:
        """As `HeadPass.run`, of concerns whose positive samples have all passed."""
        return {concern: self._importance(drawn.positive) for concern, drawn in samples.items()}

    def _importance(self, rows: Sequence[int]) -> Tensor:
        """Means over the tokens of `rows` [blocks, heads], each block's of length one; zero where there is none."""
        mean = torch.stack([self._effects[row] for row in rows]).sum(0) / sum(self._tokens[row] for row in rows)
        return F.normalize(mean, dim=1, eps=torch.finfo(mean.dtype).tiny)


@dataclass(frozen=True)
class HeadPass:
    """One backward pass over every concern's positive samples, each row once, that sees heads alone."""

    model: nn.Module
    anatomy: Anatomy
    examples: Examples
    samples: Mapping[int, ConcernSamples]

    @property
    def rows(self) -> int:
        """Rows that run."""
        return len(self._rows)

    @property
    def _rows(self) -> list[int]:
        return sorted({row for drawn in self.samples.values() for row in drawn.positive})

    def run(self, checkpoint: Checkpoint = unwatched) -> dict[int, Tensor]:
        """Importance [blocks, heads] by concern, blocks as in `anatomy.attentions`; float64, CPU, finite, not negative.

        Σ over tokens of |Σ_i ∂loss/∂ctx_i · ctx_i| over the head's part of the context, on the concern's positive
        samples, divided by the tokens, then by its L2 norm over the block's heads: blocks count alike, whatever the
        scale of their gradients. Pads count nowhere. A block that several layers share sums over them. Parameters need
        no gradients and get none; the model is left in eval mode.
        Source: Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?" (2019), section 2.3, per concern.
        """
        tally, done = HeadTally(self.anatomy), 0

        def look(batch: Batch) -> HeadEffects:
            contexts = tally.watch()
            (gradients,) = run_backward(self.model, batch, [contexts])
            return contexts.effects(batch, gradients)

        for batch, effects in run_batches(look, self.examples, self._rows, device=device_of(self.model)):
            tally.add(batch, effects)
            done += len(batch)
            checkpoint(done)
        return tally.importance(self.samples)


class Contexts:
    """A watch of what the heads of each block write: the inputs of its attention output layer."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        self._uses: list[list[Tensor]] = [[] for _ in anatomy.attentions]  # [b, t, heads · width] for every call

    @property
    def tensors(self) -> list[Tensor]:
        """The contexts, block by block, in each once for every time the block was used."""
        return [context for uses in self._uses for context in uses]

    def hook(self, model: nn.Module, hooks: ExitStack) -> None:
        """Sets the hooks, to be removed by `hooks`."""
        for part, uses in zip(self._anatomy.attentions, self._uses, strict=True):
            handle = linear(model, part.output).register_forward_pre_hook(partial(_record, uses))
            hooks.callback(handle.remove)

    def effects(self, batch: Batch, gradients: Gradients) -> HeadEffects:
        """The effects of the batch that was watched."""
        given, counts = iter(gradients), [self._anatomy.heads(part) for part in self._anatomy.attentions]
        blocks = [
            sum((_head_effects(next(given), context, batch, heads) for context in uses), start=_NOTHING)
            for heads, uses in zip(counts, self._uses, strict=True)
        ]
        filled = [F.pad(block, (0, max(counts) - heads)) for heads, block in zip(counts, blocks, strict=True)]
        return HeadEffects(torch.stack(filled, dim=1), _counted(batch, by_example(self.tensors[0], batch)).sum(1).cpu())


_NOTHING = torch.zeros((), dtype=torch.float64)


def _head_effects(gradient: Tensor | None, context: Tensor, batch: Batch, heads: int) -> Tensor:
    """Σ over tokens of |Σ_i gradient_i · context_i| per row and head [b, heads]; float64, CPU."""
    reached = torch.zeros_like(context) if gradient is None else gradient
    context = by_example(context.detach(), batch)
    product = by_example(reached, batch).double() * context.double()  # [b, t, heads · width]
    effects = product.reshape(*product.shape[:2], heads, -1).sum(-1)  # [b, t, heads]
    return torch.einsum("bth,bt->bh", effects.abs(), _counted(batch, context)).cpu()


def _counted(batch: Batch, context: Tensor) -> Tensor:
    """1 where a position counts [b, t], float64."""
    mask = batch.attention_mask
    if mask is None or mask.shape != context.shape[:2]:
        return torch.ones(context.shape[:2], dtype=torch.float64, device=context.device)
    return mask.double()


def _record(uses: list[Tensor], _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Tracking starts at the first context where nothing before it wants gradients."""
    context = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
    uses.append(context)
    return (context, *inputs[1:])
