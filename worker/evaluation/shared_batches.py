"""A course: examples that one model after another is led over, in the same batches, and what is kept between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from app.domain.errors import UnsupportedModel
from worker.compute.arrays import Logits, Rows
from worker.compute.batches import Batch, Checkpoint, Order, budget_on, device_of, forward, unwatched
from worker.compute.examples import Examples
from worker.compute.memory import Result, in_parts, out_of_memory
from worker.evaluation.shortcuts import Outputs, Shortcuts
from worker.evaluation.tensor_storage import Room, StoredOutputs, room_on


@dataclass(frozen=True)
class _Known:
    """A batch that was run before: what it is, and what is kept of it."""

    batch: Batch
    inputs: StoredOutputs
    outputs: StoredOutputs


@dataclass
class Course:
    """Rows of examples by length, in batches without padding beyond the longest of each; or in their own order, padded.

    The first model that runs a batch leaves its inputs and the outputs of its upstream modules for the next ones, as
    long as there is room; what finds none is made each time. A batch that runs out of memory takes all that is kept
    with it, and is run again in halves.
    """

    examples: Examples
    rows: Sequence[int] | Rows | None = None
    pad_to: int | None = None
    shortcuts: Shortcuts = field(default_factory=Shortcuts)
    token_budget: int | None = None
    """Positions of one batch; None is as many as suit the model's device."""
    room: int | None = None
    """Bytes that may be kept; None is as many as there are for it, see worker.evaluation.tensor_storage."""
    dtype: torch.dtype | None = None
    """What matrices are multiplied in, where that is not the weights' own."""
    _order: Order = field(init=False)
    _room: Room | None = field(default=None, init=False)
    _kept: dict[tuple[int, int], _Known] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._order = Order.of(self.examples, self.rows, self.pad_to)

    def predict(self, model: nn.Module, checkpoint: Checkpoint = unwatched) -> Logits:
        """Logits [examples, classes], 0 where the course does not lead; the model is left in eval mode.

        `checkpoint` hears the rows done after each batch and may raise. Raises UnsupportedModel when a logit is not
        finite.
        """
        logits = np.empty((0, 0), np.float32)
        done = 0
        with self.shortcuts.narrowed(model):
            for batch, answers in self.run(model, partial(_logits, model)):
                if not logits.size:
                    logits = np.zeros((len(self.examples), answers.shape[1]), np.float32)
                logits[batch.rows] = answers
                done += len(batch)
                checkpoint(done)
        if not np.isfinite(logits).all():
            raise UnsupportedModel("The model answers with numbers that are not finite.")
        return logits

    def run(self, model: nn.Module, look: Callable[[Batch], Result]) -> Iterator[tuple[Batch, Result]]:
        """Each batch with what `look` makes of it, which runs `model` once and leaves nothing behind when it raises."""
        model.eval()

        def ask(start: int, stop: int) -> tuple[Batch, Result]:
            try:
                with torch.inference_mode(), self._precision(model):
                    return self._look(model, look, start, stop)
            except Exception as error:
                if out_of_memory(error):
                    self._forget()
                raise

        budget = self.token_budget or budget_on(device_of(model))
        yield from in_parts(ask, len(self._order.rows), self._order.end, budget)

    def _look(self, model: nn.Module, look: Callable[[Batch], Result], start: int, stop: int) -> tuple[Batch, Result]:
        if (start, stop) in self._kept:
            known = self._kept[start, stop]
            batch, outputs = replace(known.batch, inputs=known.inputs()), known.outputs()
            with self.shortcuts.replayed(model, outputs):
                return batch, look(batch)
        batch = self._order.batch(start, stop, device_of(model))
        if self.room == 0:
            return batch, look(batch)
        with self.shortcuts.recorded(model) as outputs:
            seen = look(batch)
        self._keep((start, stop), batch, outputs)
        return batch, seen

    def _precision(self, model: nn.Module) -> AbstractContextManager[Any]:
        return nullcontext() if self.dtype is None else torch.autocast(device_of(model).type, self.dtype)

    def _keep(self, place: tuple[int, int], batch: Batch, outputs: Outputs) -> None:
        self._room = self._room or room_on(batch.labels.device, self.room)
        inputs = self._room.take(batch.inputs)
        if inputs is not None:
            self._kept[place] = _Known(replace(batch, inputs={}), inputs, self._room.take(outputs) or dict)

    def _forget(self) -> None:
        """Gives back what is kept, and keeps no more."""
        self._kept.clear()
        self._room, self.room = None, 0


def _logits(model: nn.Module, batch: Batch) -> Logits:
    answers: Logits = forward(model, batch).logits.float().cpu().numpy()  # [b, classes]
    return answers
