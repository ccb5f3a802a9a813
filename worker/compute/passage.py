"""A model opened between its blocks: a batch rests where one block ends and the next begins, and may go on from there.

What stands before the first block and after the last is run without them, so that each block is run by itself, once
or several times, and no other for its sake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from worker.compute.batches import Batch, forward

TOLERANCE = 1e-4
"""How far a logit may be from the whole model's: float32 sums in another order."""


@dataclass(frozen=True)
class Call:
    """What a block is given besides the hidden states."""

    args: tuple[Any, ...]
    named: dict[str, Any]


@dataclass
class Passage:
    """The way of a batch through a model whose blocks, by dotted name, run one after another."""

    model: nn.Module
    blocks: Sequence[str]
    _written: Callable[[Tensor], Any] | None = field(default=None, init=False)  # hidden states as a block returns them

    def holds(self, batch: Batch) -> bool:
        """Whether a batch that rests between the blocks is answered as by the whole model."""
        hidden, calls = self.enter(batch)
        for place, call in enumerate(calls):
            hidden = self.step(place, hidden, call)
        logits, plain = self.leave(batch, hidden).logits, forward(self.model, batch).logits
        return logits.shape == plain.shape and torch.allclose(logits, plain, rtol=TOLERANCE, atol=TOLERANCE)

    def enter(self, batch: Batch) -> tuple[Tensor, list[Call]]:
        """The hidden states that the first block reads [b, t, hidden], and what else each block is given."""
        seen: list[tuple[Tensor, Call]] = []
        notes = [partial(self._note, seen, module.forward) for module in self._modules]
        with self._replaced(notes):
            forward(self.model, batch)
        return seen[0][0], [call for _, call in seen]

    def step(self, place: int, hidden: Tensor, call: Call) -> Tensor:
        """The hidden states after a block."""
        output = self._modules[place](hidden, *call.args, **call.named)
        written: Tensor = output[0] if isinstance(output, tuple) else output
        return written

    def leave(self, batch: Batch, hidden: Tensor) -> Any:
        """The model's outputs for a batch that has these hidden states after the last block."""

        def given(*_: Any, **__: Any) -> Any:
            assert self._written is not None
            return self._written(hidden)

        with self._replaced([given] * len(self.blocks)):
            return forward(self.model, batch)

    @property
    def _modules(self) -> list[nn.Module]:
        return [self.model.get_submodule(name) for name in self.blocks]

    @contextmanager
    def _replaced(self, forwards: Sequence[Callable[..., Any]]) -> Iterator[None]:
        """Has these in the place of what the blocks do."""
        with ExitStack() as restore:
            for module, other in zip(self._modules, forwards, strict=True):
                module.forward = other
                restore.callback(delattr, module, "forward")
            yield

    def _note(self, seen: list[tuple[Tensor, Call]], own: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Notes what a block is given, and hands on the hidden states as they came."""
        hidden: Tensor = args[0] if args else named["hidden_states"]
        if self._written is None:
            output = own(*args, **named)
            self._written = _in_a_tuple(output[1:]) if isinstance(output, tuple) else _plain
        named = {name: value for name, value in named.items() if name != "hidden_states"}
        if "past_key_values" in named:  # a block that runs twice must not find what it left
            named["past_key_values"] = None
        seen.append((hidden, Call(args[1:], named)))
        return self._written(hidden)


def _plain(hidden: Tensor) -> Any:
    return hidden


def _in_a_tuple(rest: tuple[Any, ...]) -> Callable[[Tensor], Any]:
    return lambda hidden: (hidden, *rest)
