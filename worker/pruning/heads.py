"""How much each attention head matters to a concern: gradient × context, of all concerns from one backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.inputs import Batch, Checkpoint, Examples, batches, device_of, forward, unwatched
from worker.sampling.concern import ConcernSamples

Contexts = list[list[Tensor]]
"""What the heads of each block wrote, [b, t, heads · width], once for every time the block was used."""


def head_importance(
    model: nn.Module,
    anatomy: Anatomy,
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    *,
    checkpoint: Checkpoint = unwatched,
) -> dict[int, Tensor]:
    """Importance [blocks, heads] by concern, blocks as in `anatomy.attentions`; float64, CPU, finite and not negative.

    Σ over tokens of |Σ_i ∂loss/∂ctx_i · ctx_i| over the head's part of the context, on the concern's positive samples,
    divided by the tokens, then by its L2 norm over the block's heads: blocks count alike, whatever the scale of their
    gradients. Pads count nowhere. A block that several layers share sums over them. Parameters need no gradients and
    get none; the model is left in eval mode. `checkpoint` hears the rows done after each batch and may raise.
    Source: Michel, Levy & Neubig, "Are Sixteen Heads Really Better than One?" (2019), section 2.3, per concern.
    """
    model.eval()
    rows = importance_rows(samples)
    by_row: dict[int, Tensor] = {}
    tokens: dict[int, float] = {}
    for batch in batches(examples, rows, device=device_of(model)):
        effects, counted = _effects(model, anatomy, batch)
        by_row |= zip(batch.rows.tolist(), effects, strict=True)
        tokens |= zip(batch.rows.tolist(), counted.tolist(), strict=True)
        checkpoint(len(by_row))
    return {concern: _importance(by_row, tokens, drawn.positive) for concern, drawn in samples.items()}


def importance_rows(samples: Mapping[int, ConcernSamples]) -> list[int]:
    """The rows that `head_importance` runs: every concern's positive samples, each row once."""
    return sorted({row for drawn in samples.values() for row in drawn.positive})


def _importance(by_row: Mapping[int, Tensor], tokens: Mapping[int, float], rows: Sequence[int]) -> Tensor:
    """Means over the tokens of `rows` [blocks, heads], each block's of length one; zero where nothing has an effect."""
    mean = torch.stack([by_row[row] for row in rows]).sum(0) / sum(tokens[row] for row in rows)
    return F.normalize(mean, dim=1, eps=torch.finfo(mean.dtype).tiny)


def _effects(model: nn.Module, anatomy: Anatomy, batch: Batch) -> tuple[Tensor, Tensor]:
    """Σ over tokens of |gradient · context| of every head, per row [b, blocks, heads], and the tokens of each row [b].

    The loss is summed over rows, which do not see each other, so a row's gradient is its own in any batch.
    """
    with torch.enable_grad(), _recorded(model, anatomy) as contexts:
        logits = forward(model, batch).logits
        loss = F.cross_entropy(logits.float(), batch.labels, reduction="sum")
    used = [context for uses in contexts for context in uses]
    gradients = iter(torch.autograd.grad(loss, used))
    blocks = [
        sum((_head_effects(next(gradients), context, batch, anatomy.query_heads) for context in uses), start=_NOTHING)
        for uses in contexts
    ]
    return torch.stack(blocks, dim=1), _counted(batch, used[0]).sum(1).cpu()


_NOTHING = torch.zeros((), dtype=torch.float64)


def _head_effects(gradient: Tensor, context: Tensor, batch: Batch, heads: int) -> Tensor:
    """Σ over tokens of |Σ_i gradient_i · context_i| per row and head [b, heads]; float64, CPU."""
    product = gradient.double() * context.detach().double()  # [b, t, heads · width]
    effects = product.reshape(*product.shape[:2], heads, -1).sum(-1)  # [b, t, heads]
    return torch.einsum("bth,bt->bh", effects.abs(), _counted(batch, context)).cpu()


def _counted(batch: Batch, context: Tensor) -> Tensor:
    """1 where a position counts [b, t], float64."""
    if batch.attention_mask is None:
        return torch.ones(context.shape[:2], dtype=torch.float64, device=context.device)
    return batch.attention_mask.double()


@contextmanager
def _recorded(model: nn.Module, anatomy: Anatomy) -> Iterator[Contexts]:
    """What runs inside fills the list: the inputs of every attention output layer, tracked for gradients."""
    contexts: Contexts = [[] for _ in anatomy.attentions]
    hooks = [
        linear(model, part.output).register_forward_pre_hook(partial(_record, uses))
        for part, uses in zip(anatomy.attentions, contexts, strict=True)
    ]
    try:
        yield contexts
    finally:
        for hook in hooks:
            hook.remove()


def _record(uses: list[Tensor], _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Tracking starts at the first context where no parameter before it wants gradients."""
    context = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
    uses.append(context)
    return (context, *inputs[1:])
