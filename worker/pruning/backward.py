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
    """The gradients of the batch's loss, summed over its rows, for each watch; the model is in eval mode.

    Rows do not see each other, so a row's gradients are its own in any batch. Parameters need no gradients and get
    none.
    """
    model.eval()
    with torch.enable_grad(), ExitStack() as hooks:
        for watch in watches:
            watch.hook(model, hooks)
        loss = summed_loss(forward(model, batch).logits.float(), batch.labels)
    tensors = [tensor for watch in watches for tensor in watch.tensors]
    gradients = iter(torch.autograd.grad(loss, tensors, allow_unused=True))
    return [[next(gradients) for _ in watch.tensors] for watch in watches]


def summed_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """The cross-entropy of class ids [b], or the binary cross-entropy of labels that rows have or lack [b, labels].

    A sum over the rows; of several labels a mean over them, as transformers trains.
    """
    if truth.dim() == 1:
        return F.cross_entropy(logits, truth, reduction="sum")
    return F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none").mean(1).sum()
