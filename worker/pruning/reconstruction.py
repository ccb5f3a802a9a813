"""Reconstruction: the layers of a pruned model that read less than before are solved anew, one after another.

Block by block, and within a block in the order they run: a layer reads what the module gives it by then, with all that
was solved before it, and is to write what the base's layer writes of what the base gives it. So what one layer cannot
make up for, the next ones still can. Where blocks are gone, what follows the last one is solved too.

A batch rests between the blocks (see `worker.compute.passage`). Where it cannot, because one block serves all layers or
none is known, all layers are solved at once, of what the mask alone gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from worker.compute.batches import Batch, Checkpoint, budget_on, device_of, forward, run_batches, unwatched
from worker.compute.examples import Examples
from worker.compute.memory import out_of_memory
from worker.compute.model_edits import fixed
from worker.compute.passage import Call, Passage
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.layer_groups import LayerGroup, among, groups_of, named, reads
from worker.pruning.least_squares import Sums, solve
from worker.pruning.masks import Mask, ParameterValues, keeping, kept_columns, kept_rows, name_in_module
from worker.pruning.surgery import masked_copy


def reconstruct(
    model: nn.Module,
    mask: Mask,
    anatomy: Anatomy,
    examples: Examples,
    *,
    readers: bool = True,
    checkpoint: Checkpoint = unwatched,
) -> dict[str, ParameterValues]:
    """The weights and biases that are solved over `examples`, by the base's name and in its shape.

    `readers` says whether the layers that have lost weights or inputs are solved, or only what follows blocks that are
    gone. The base is only read. `checkpoint` hears again and again that no row is done, and may raise. Batches that are
    too large for the memory are halved, and all of them run again.
    """
    model.eval()
    budget = budget_on(device_of(model))
    while True:
        try:
            return _reconstruct(model, mask, anatomy, examples, budget, readers=readers, checkpoint=checkpoint)
        except Exception as error:
            if budget == 1 or not out_of_memory(error):
                raise
        budget //= 2


def _reconstruct(
    model: nn.Module,
    mask: Mask,
    anatomy: Anatomy,
    examples: Examples,
    budget: int,
    *,
    readers: bool,
    checkpoint: Checkpoint,
) -> dict[str, ParameterValues]:
    device = device_of(model)
    batches = [batch for batch, _ in run_batches(len, examples, token_budget=budget, device=device)]
    module = _PrunedModel(model, masked_copy(model, mask, anatomy).eval(), mask, anatomy)
    with torch.inference_mode():
        groups = groups_of(model, anatomy, batches[0])
        last = len(anatomy.blocks)
        solved = {name for group in groups for name in group.layers if mask.layers and group.place == last}
        if readers:
            solved |= {*mask.weights, *kept_columns(model, mask, anatomy)}
        groups = among(groups, (name for name in solved if module.calls(name) is not None))
        blocks = [] if anatomy.family is None or anatomy.family.shared else list(anatomy.blocks)
        if not blocks or not Passage(model, blocks).holds(batches[0]):
            _solve_at_once(module, groups, batches, checkpoint)
            return module.solved
        _solve_at_once(module, [group for group in groups if group.place < 0], batches, checkpoint)
        then = _Stream.start(Passage(model, blocks), batches, checkpoint)
        kept = [name for block in blocks if (name := module.calls(block)) is not None]
        now = _Stream.start(Passage(module.model, kept), batches, checkpoint)
        own = 0
        for place, block in enumerate(blocks):
            if all(group.place < place for group in groups):
                break
            inside = [group for group in groups if group.place == place]
            meant = then.advance(place, named(model, [group.layers[0] for group in inside], str))
            if module.calls(block) is None:
                continue
            for group in inside:
                first = module.layers(group.layers[:1])
                module.solve(group, (now.stop_at(number, own, first) for number in range(len(batches))), meant)
            now.advance(own, {})
            own += 1
        for group in (group for group in groups if group.place == last):
            name = group.layers[0]
            meant = then.leave({name: linear(model, name)})
            module.solve(group, (seen[name] for seen in now.leave(module.layers([name]))), meant)
    return module.solved


@dataclass
class _PrunedModel:
    """The pruned model, whose layers are solved one by one."""

    base: nn.Module
    model: nn.Module
    mask: Mask
    anatomy: Anatomy
    solved: dict[str, ParameterValues] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kept = keeping(self.base, self.mask, self.anatomy)
        self._rows = kept_rows(self.base, self.mask, self.anatomy)

    def calls(self, name: str) -> str | None:
        """What it calls a part of the base; None where that is gone."""
        return name_in_module(self.mask, name)

    def layers(self, names: Sequence[str]) -> dict[str, nn.Module]:
        """Its layers by the base's names."""
        return named(self.model, names, lambda name: self.calls(name) or name)

    def solve(self, group: LayerGroup, now: Iterable[Tensor], then: Sequence[dict[str, Tensor]]) -> None:
        """Solves layers that read the same: `now` in the module and `then` in the base, batch by batch."""
        sums = self.sums_of(group)
        for read, seen in zip(now, then, strict=True):
            sums.add(read, seen[group.layers[0]])
        self.replace(group, sums)

    def sums_of(self, group: LayerGroup) -> Sums:
        """Sums over nothing yet, of what the layers of a group read."""
        kept = torch.stack([self._kept_of(name).any(0) for name in group.layers])
        return Sums.zero(kept.any(0).nonzero().flatten(), kept.shape[1])

    def replace(self, group: LayerGroup, sums: Sums) -> None:
        """Solves the layers of a group by these sums."""
        for name in group.layers:
            self._replace(name, self._kept_of(name), sums)

    def _kept_of(self, name: str) -> Tensor:
        weight = linear(self.base, name).weight
        held = self._kept.get(name)
        if held is None:
            return torch.ones_like(weight, dtype=torch.bool)
        return held.expand(weight.shape).to(weight.device)

    def _replace(self, name: str, held: Tensor, sums: Sums) -> None:
        """Puts what is solved into the layer; a row of what is removed stays zero."""
        layer, own = linear(self.base, name), linear(self.model, self.calls(name) or name)
        weight, bias = solve(layer.weight, layer.bias, held, sums)
        own.weight = fixed(weight.to(layer.weight.dtype))
        self.solved[f"{name}.weight"] = own.weight.cpu().numpy()
        if bias is not None:
            if name in self._rows:
                bias = bias.masked_fill(~self._rows[name].to(bias.device), 0.0)
            own.bias = fixed(bias.to(layer.weight.dtype))
            self.solved[f"{name}.bias"] = own.bias.cpu().numpy()


@dataclass
class _Stream:
    """All batches on their way through one model, block by block."""

    passage: Passage
    batches: Sequence[Batch]
    states: list[Tensor]
    calls: list[list[Call]]
    checkpoint: Checkpoint

    @classmethod
    def start(cls, passage: Passage, batches: Sequence[Batch], checkpoint: Checkpoint) -> _Stream:
        """The batches before the first block."""
        states, calls = zip(*(passage.enter(batch) for batch in batches), strict=True)
        return cls(passage, batches, list(states), list(calls), checkpoint)

    def advance(self, place: int, layers: dict[str, nn.Module]) -> list[dict[str, Tensor]]:
        """Takes every batch through a block, and tells what some of its layers read."""
        seen = []
        for number, batch in enumerate(self.batches):
            read, self.states[number] = reads(partial(self._step, number, place), layers, batch)
            seen.append(dict(read))
            self.checkpoint(0)
        return seen

    def stop_at(self, number: int, place: int, layer: dict[str, nn.Module]) -> Tensor:
        """What a layer of a block reads of one batch, which stays before that block."""
        self.checkpoint(0)
        ((_, read),), _ = reads(partial(self._step, number, place), layer, self.batches[number], first=True)
        return read

    def leave(self, layers: dict[str, nn.Module]) -> list[dict[str, Tensor]]:
        """What layers after the last block read of every batch."""
        return [
            dict(reads(partial(self.passage.leave, batch, state), layers, batch)[0])
            for batch, state in zip(self.batches, self.states, strict=True)
        ]

    def _step(self, number: int, place: int) -> Tensor:
        return self.passage.step(place, self.states[number], self.calls[number][place])


def _solve_at_once(
    module: _PrunedModel, groups: Sequence[LayerGroup], batches: Sequence[Batch], checkpoint: Checkpoint
) -> None:
    """Solves layers by what they read in whole runs; one that runs more than once is solved for all its runs."""
    sums = {group.layers[0]: module.sums_of(group) for group in groups}
    for batch in batches if groups else ():
        checkpoint(0)
        now = reads(partial(forward, module.model, batch), module.layers(list(sums)), batch)[0]
        then = reads(partial(forward, module.base, batch), named(module.base, list(sums), str), batch)[0]
        for (name, read), (_, meant) in zip(now, then, strict=True):
            sums[name].add(read, meant)
    for group in groups:
        module.replace(group, sums[group.layers[0]])
