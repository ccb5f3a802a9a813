"""What linear layers read while a model runs a batch, and no further than the last of them that is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Literal

import torch
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from worker.compute.batches import Batch, forward
from worker.compute.memory import Result
from worker.families.layers import family_of_model

Pads = Literal["exclude", "include"]
Look = Callable[[str, Tensor, Tensor], Result]
"""What is made of a layer's name, of its inputs [b, t, in], and of which positions count [b, t] (float64)."""


class _AllSeenError(Exception):
    """Ends a run whose rest nobody watches."""


@dataclass
class InputWatch(Generic[Result]):
    """Layers of one model under observation; a run that fails is forgotten with all that was seen of it."""

    model: nn.Module
    pads: Pads
    _calls: int | None = None  # of watched layers in a run, where that is known to be the same each time
    _seen: list[tuple[str, Result]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def over(cls, model: nn.Module, layers: Sequence[str], pads: Pads) -> Iterator[InputWatch[Result]]:
        """Watches `layers` while the block runs."""
        watch = cls(model, pads)
        with ExitStack() as hooks:
            for name in layers:
                hook = model.get_submodule(name).register_forward_pre_hook(partial(watch._observe, name))
                hooks.callback(hook.remove)
            yield watch

    def run(self, batch: Batch, look: Look[Result]) -> list[tuple[str, Result]]:
        """What `look` makes of every call of a layer, in the order of the calls.

        The blocks of a known family run the same whatever they are shown: there, what follows the last call that was
        watched in the first run is not computed in later ones.
        """
        self._batch, self._look, self._seen = batch, look, []
        with suppress(_AllSeenError):
            forward(self.model, batch)
        if family_of_model(self.model) is not None:
            self._calls = len(self._seen)
        seen, self._seen = self._seen, []
        return seen

    def _observe(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        batch = self._batch
        x = by_example(inputs[0], batch).expand(len(batch), -1, -1)
        counted = torch.ones(x.shape[:2], dtype=torch.float64, device=x.device)
        mask = None if self.pads == "include" else batch.attention_mask  # [b, t]; None where all count
        if mask is not None and mask.shape == counted.shape:
            counted = mask.to(counted)
        self._seen.append((name, self._look(name, x, counted)))
        if len(self._seen) == self._calls:
            raise _AllSeenError


def by_example(x: Tensor, batch: Batch) -> Tensor:
    """A layer's inputs or outputs by example: [b, t, features], or [b, 1, features] of one vector per example.

    The windows of one image, [windows, t, features], are its positions one after another. What all examples share, as
    relative positions are, stays [1, positions, features]. Raises UnsupportedModel for anything else.
    """
    examples, width, mask = len(batch), x.shape[-1], batch.attention_mask
    tokens = x.shape[1] if mask is None and x.dim() == 3 else 1 if mask is None else mask.shape[1]
    if x.dim() == 3 and len(x) == 1 and (examples > 1 or x.shape[1] not in (1, tokens)):
        return x
    windows = len(x) // examples if mask is None and x.dim() == 3 else 1
    for positions in (windows * tokens, tokens, 1):
        if x.numel() == examples * positions * width:
            return x.reshape(examples, positions, width)
    raise UnsupportedModel(f"A linear layer sees neither tokens nor examples, but inputs of shape {list(x.shape)}.")
