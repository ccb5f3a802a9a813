"""What need not be computed again, and what need not be computed at all, when modules of one base answer the same rows.

Upstream of the first pruned layer every module is the base: what the base's layers give there is kept and handed out
again. Downstream of the last attention positions no longer meet: where the classifier reads the first one, only that
one goes on. Either is checked once on real rows, and left out where the answers would differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from worker.compute.batches import Batch, forward
from worker.families.anatomy import Anatomy

TOLERANCE = 1e-4
"""How far a logit may be from the plain model's, absolutely and relatively: float32 sums in another order."""

Outputs = Mapping[str, Any]
"""What modules returned, by dotted name."""


@dataclass(frozen=True)
class Tail:
    """A module of the last block of a stack, however many blocks a model has there."""

    stack: str
    module: str

    def of(self, model: nn.Module) -> nn.Module:
        """The module itself."""
        blocks: Any = model.get_submodule(self.stack)
        module: nn.Module = blocks[-1].get_submodule(self.module)
        return module


@dataclass(frozen=True)
class Shortcuts:
    """Names of the modules of a model that can be spared, in part or whole."""

    upstream: tuple[str, ...] = ()
    """Modules that run once, before any pruned layer: their outputs are those of the base."""
    unread: frozenset[str] = frozenset()
    """Upstream modules whose outputs go nowhere but into other upstream modules: nobody reads them a second time."""
    tail: Tail | None = None
    """From where on only the first position is needed for the answer."""

    @classmethod
    def of(cls, model: nn.Module, anatomy: Anatomy, pruned: Collection[str], batch: Batch) -> Shortcuts:
        """Those that hold for modules of `model` whose layers `pruned` may differ from it, tried on `batch`."""
        with torch.inference_mode():
            plain = forward(model, batch).logits
            replaying = cls(upstream=_upstream(model, pruned, batch))
            narrow = cls(tail=_tail(model, anatomy))
            with replaying.recorded(model) as outputs:
                forward(model, batch)
            tail = narrow.tail if _answers(narrow, model, batch, plain) else None
            if not replaying._replays(model, batch, outputs, plain):
                return cls(tail=tail)
            for name in replaying.upstream:
                with_one = replace(replaying, unread=replaying.unread | {name})
                if with_one._replays(model, batch, outputs, plain):
                    replaying = with_one
            return replace(replaying, tail=tail)

    @contextmanager
    def recorded(self, model: nn.Module) -> Iterator[dict[str, Any]]:
        """Fills in what the upstream modules return while the block runs."""
        outputs: dict[str, Any] = {}
        with ExitStack() as hooks:
            for name in self.upstream:
                keep = partial(_keep, outputs, name, name in self.unread)
                hook = model.get_submodule(name).register_forward_hook(keep)
                hooks.callback(hook.remove)
            yield outputs

    @contextmanager
    def replayed(self, model: nn.Module, outputs: Outputs) -> Iterator[None]:
        """The upstream modules return `outputs` without computing anything."""
        with ExitStack() as restore:
            for name, output in outputs.items():
                module = model.get_submodule(name)
                module.forward = partial(_given, output)
                restore.callback(delattr, module, "forward")
            yield

    def _replays(self, model: nn.Module, batch: Batch, outputs: Outputs, plain: Tensor) -> bool:
        """Whether a model that is handed its own outputs, but not those that nobody reads, answers as before."""
        given = {name: _hollow(output) if name in self.unread else output for name, output in outputs.items()}
        with self.replayed(model, given):
            return _same(forward(model, batch).logits, plain)

    @contextmanager
    def narrowed(self, model: nn.Module) -> Iterator[None]:
        """Only the first position goes through the last block's tail. Hidden states are then those of it alone."""
        if self.tail is None:
            yield
            return
        hook = self.tail.of(model).register_forward_pre_hook(_first_position)
        try:
            yield
        finally:
            hook.remove()


def bytes_of(outputs: Outputs, aligned: int = 1) -> int:
    """The memory that outputs hold; with every tensor beginning at a multiple of `aligned` bytes."""
    tensors = [tensor for output in outputs.values() for tensor in _tensors(output)]
    sizes = [min(tensor.nbytes, tensor.untyped_storage().nbytes()) for tensor in tensors]
    return sum(-(-size // aligned) * aligned for size in sizes)


def mapped(change: Callable[[Any], Any], output: Any, kind: type = Tensor) -> Any:
    """What a module returned, with every tensor of it, or whatever stands in its place, changed."""
    if isinstance(output, kind):
        return change(output)
    return type(output)(mapped(change, part, kind) for part in output) if type(output) in (tuple, list) else output


def _upstream(model: nn.Module, pruned: Collection[str], batch: Batch) -> tuple[str, ...]:
    """The outermost modules whose only call is over before the first of a pruned layer begins."""
    began: dict[str, int] = {}
    calls: list[str] = []  # in the order they end
    reached = False

    def begin(name: str, *_: Any) -> None:
        nonlocal reached
        reached = reached or name in pruned
        began[name] = began.get(name, 0) + 1

    def end(name: str, *_: Any) -> None:
        if not reached:
            calls.append(name)

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_pre_hook(partial(begin, name)).remove)
            hooks.callback(module.register_forward_hook(partial(end, name)).remove)
        forward(model, batch)
    once = [name for name in calls if began[name] == 1] if reached else []
    return tuple(name for name in once if not any(name.startswith(f"{other}.") for other in once))


def _tail(model: nn.Module, anatomy: Anatomy) -> Tail | None:
    """The tail of the last block, where the family has one and each block runs once."""
    if anatomy.family is None or anatomy.family.tail is None or not anatomy.blocks:
        return None
    name = f"{anatomy.blocks[-1]}.{anatomy.family.tail}"
    known = any(name == other for other, _ in model.named_modules())
    return Tail(anatomy.stack, anatomy.family.tail) if known else None


def _answers(shortcuts: Shortcuts, model: nn.Module, batch: Batch, plain: Tensor) -> bool:
    """Whether the narrowed model answers as the plain one does."""
    with shortcuts.narrowed(model):
        return _same(forward(model, batch).logits, plain)


def _same(logits: Tensor, plain: Tensor) -> bool:
    return logits.shape == plain.shape and torch.allclose(logits, plain, rtol=TOLERANCE, atol=TOLERANCE)


def _keep(outputs: dict[str, Any], name: str, unread: bool, _module: nn.Module, _inputs: Any, output: Any) -> None:
    outputs[name] = _hollow(output) if unread else output


def _given(output: Any, *_inputs: Any, **_named: Any) -> Any:
    return output


def _first_position(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x[:, :1] if isinstance(x, Tensor) and x.dim() == 3 else x for x in inputs)


def _hollow(output: Any) -> Any:
    """The same shapes without the memory; whoever reads them anyway finds no number."""
    return mapped(_without_memory, output)


def _without_memory(tensor: Tensor) -> Tensor:
    return tensor.new_full((), torch.nan).expand(tensor.shape) if tensor.is_floating_point() else tensor


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _tensors(part)
