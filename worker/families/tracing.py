"""One run of a model, kept so that one can ask what a number in it hangs on, whatever its layers are called.

A number that a layer reads is followed back to the layers before it. What was written anywhere else has no gradient at
all, so that the places which have one are the places it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from worker.compute.batches import Batch, forward
from worker.families.layers import linear_layers

ROUNDING = 1e-3
"""Of the largest gradient."""


@dataclass(frozen=True)
class Trace:
    """What every linear layer read and wrote in one run, and the logits; made while gradients were watched.

    A layer that was called more often than once is known by its first call.
    """

    logits: Tensor  # [b, classes]
    reads: Mapping[str, Tensor]  # [..., in]
    writes: Mapping[str, Tensor]  # [..., out]

    @classmethod
    def of(cls, model: nn.Module, batch: Batch) -> Trace:
        """Runs the model in eval mode."""
        reads: dict[str, Tensor] = {}
        writes: dict[str, Tensor] = {}
        with _observed(model.eval(), reads, writes), torch.enable_grad():
            return cls(forward(model, batch).logits, reads, writes)

    def sources(self, number: Tensor, layers: Iterable[str]) -> dict[str, NumberSource]:
        """Where in each of `layers` a number was made; layers that it does not hang on are left out."""
        names = [name for name in layers if name in self.writes]
        if not names or not number.requires_grad:
            return {}
        gradients = self._gradients(number, [self.writes[name] for name in names])
        found = {}
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None and bool(gradient.any()):
                found[name] = NumberSource.of(gradient)
        return found

    def reads_alone(self, reader: str, writers: Sequence[str]) -> bool:
        """Whether what `writers` write goes into what `reader` reads of it, and nowhere else that matters.

        Then their gradients are those of what it reads, followed back.
        """
        read, written = self.reads[reader], [self.writes[name] for name in writers]
        whole, *each = self._gradients(self._everything, [read, *written])
        through = self._gradients(read, written, torch.zeros_like(read) if whole is None else whole)
        return all(_alike(one, other) for one, other in zip(each, through, strict=True))

    def made_alone(self, number: Tensor, writers: Sequence[str], others: Iterable[str]) -> bool:
        """Whether a number hangs on `others` through what `writers` write, and in no other way."""
        written = [self.writes[name] for name in writers]
        before = [self.writes[name] for name in others if name in self.writes and name not in writers]
        if not before:
            return True
        outer = self._gradients(number, written)
        direct = self._gradients(number, before)
        reached = [(one, given) for one, given in zip(written, outer, strict=True) if given is not None]
        through = torch.autograd.grad(
            [one for one, _ in reached], before, [given for _, given in reached], retain_graph=True, allow_unused=True
        )
        return all(_alike(one, other) for one, other in zip(direct, through, strict=True))

    @cached_property
    def _everything(self) -> Tensor:
        """A number that hangs on all that any layer reads, and on the logits: those alone may be saturated."""
        scaled = [
            tensor / tensor.detach().abs().max().clamp(min=1e-6) for tensor in (*self.reads.values(), self.logits)
        ]
        weights = [torch.linspace(1.0, 2.0, part.numel(), device=part.device).view_as(part) for part in scaled]
        return torch.stack([(part * weight).sum() for part, weight in zip(scaled, weights, strict=True)]).sum()

    @staticmethod
    def _gradients(of: Tensor, by: Sequence[Tensor], outer: Tensor | None = None) -> Sequence[Tensor | None]:
        return torch.autograd.grad(of, by, outer, retain_graph=True, allow_unused=True)


@dataclass(frozen=True)
class NumberSource:
    """The places of a layer's output that a number was made of."""

    made: Tensor  # [positions, out], of all examples; bool
    slope: float
    """The largest of the gradients."""

    @classmethod
    def of(cls, gradient: Tensor) -> NumberSource:
        """The places where a gradient [..., out] is not zero."""
        return cls(gradient.reshape(-1, gradient.shape[-1]) != 0, float(gradient.abs().max()))

    @cached_property
    def positions(self) -> frozenset[int]:
        """Where anything of it was made."""
        return _places(self.made.any(1))

    @cached_property
    def features(self) -> frozenset[int]:
        """Of all positions."""
        return _places(self.made.any(0))

    @property
    def dense(self) -> bool:
        """Whether it was made of every feature."""
        return len(self.features) == self.made.shape[1]

    def elsewhere(self, position: int) -> frozenset[int]:
        """The features of all positions but this one."""
        others = torch.arange(len(self.made), device=self.made.device) != position
        return _places(self.made[others].any(0))


def _places(found: Tensor) -> frozenset[int]:
    return frozenset(found.nonzero().flatten().tolist())


def _alike(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two gradients are the same but for rounding; None is zero."""
    if one is None or other is None:
        given = one if one is not None else other
        return given is None or not bool(given.any())
    return bool((one - other).abs().max() <= ROUNDING * one.abs().max())


@contextmanager
def _observed(model: nn.Module, reads: dict[str, Tensor], writes: dict[str, Tensor]) -> Iterator[None]:
    with ExitStack() as hooks:
        for name, layer in linear_layers(model).items():
            hooks.callback(layer.register_forward_pre_hook(partial(_read, name, reads)).remove)
            hooks.callback(layer.register_forward_hook(partial(_write, name, writes)).remove)
        yield


def _read(name: str, reads: dict[str, Tensor], _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Gives the layer a view of its own, so that gradients of what others read of the same tensor stay apart."""
    own = inputs[0].view_as(inputs[0])
    if own.requires_grad:
        reads.setdefault(name, own)
    return (own, *inputs[1:])


def _write(name: str, writes: dict[str, Tensor], _module: nn.Module, _inputs: object, output: Any) -> Any:
    if name in writes or not isinstance(output, Tensor) or not torch.is_grad_enabled():
        return output
    writes[name] = output + torch.zeros_like(output, requires_grad=True)
    return writes[name]
