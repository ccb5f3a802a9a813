"""One forward and one backward pass of a batch, read at several places at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worker.compute.batches import Batch, forward


class GradientWatch(Protocol):
    """Sees one forward pass through hooks, and keeps tensors that the loss hangs on."""

    @property
    def tensors(self) -> Sequence[Tensor]:
        """What the gradients are wanted of."""

    def hook(self, model: nn.Module, hooks: ExitStack) -> None:
        """Sets the hooks, to be removed by `hooks`."""


Gradients = Sequence[Tensor | None]
"""Of the tensors of a watch, in their order; None of those the loss does not hang on."""


def run_backward(model: nn.Module, batch: Batch, watches: Sequence[GradientWatch]) -> list[Gradients]:
    """The gradients of the batch's cross-entropy, summed over its rows, for each watch; the model is in eval mode.

    Rows do not see each other, so a row's gradients are its own in any batch. Parameters need no gradients and get
    none.
    """
    model.eval()
    with torch.enable_grad(), ExitStack() as hooks:
        for watch in watches:
            watch.hook(model, hooks)
        loss = F.cross_entropy(forward(model, batch).logits.float(), batch.labels, reduction="sum")
    tensors = [tensor for watch in watches for tensor in watch.tensors]
    gradients = iter(torch.autograd.grad(loss, tensors, allow_unused=True))
    return [[next(gradients) for _ in watch.tensors] for watch in watches]
