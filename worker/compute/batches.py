"""What goes into a model: batches of examples that waste nothing on padding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.modeling_layers import GenericForSequenceClassification

from app.domain.budgets import DEVICE_TOKEN_BUDGET, TOKEN_BUDGET
from app.domain.errors import UnsupportedModel
from worker.compute.arrays import Rows
from worker.compute.attention import over_real_keys
from worker.compute.examples import Examples
from worker.compute.memory import Result, in_parts

Checkpoint = Callable[[int], None]
"""Hears how many rows are done after each batch, and may raise to stop the work."""


@dataclass(frozen=True)
class Batch:
    """What the model is given for some examples; `rows` says where each came from."""

    rows: Rows  # [b]
    inputs: Mapping[str, Tensor]
    labels: Tensor  # [b] or [b, labels]
    real: int | None = None  # positions that the longest row has, where all are padded beyond it

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def attention_mask(self) -> Tensor | None:
        """1 on positions that count and 0 on pads [b, t]; None where every position counts."""
        return self.inputs.get("attention_mask")

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The inputs as arrays in the CPU's memory."""
        return {name: tensor.cpu().numpy() for name, tensor in self.inputs.items()}


@dataclass(frozen=True)
class Order:
    """Rows in the order they are run in, and the positions that each takes in its batch."""

    examples: Examples
    rows: Rows  # [rows]
    lengths: Rows  # [rows], ascending, so that the last of a batch is its longest

    @classmethod
    def of(cls, examples: Examples, rows: Sequence[int] | Rows | None = None, pad_to: int | None = None) -> Order:
        """`rows` (None: all) by length, or in their own order where all are padded to `pad_to` positions."""
        chosen = np.arange(len(examples)) if rows is None else np.asarray(rows, dtype=np.int64)
        lengths = examples.lengths(chosen)
        if pad_to is not None:
            return cls(examples, chosen, np.full_like(lengths, pad_to))
        order = np.argsort(lengths, kind="stable")
        return cls(examples, chosen[order], lengths[order])

    def end(self, start: int, token_budget: int) -> int:
        """Where the batch from `start` on ends: at most `token_budget` positions, or one row that is longer."""
        stop = start + 1
        while stop < len(self.rows) and (stop + 1 - start) * self.lengths[stop] <= token_budget:
            if not (self.examples.padded or self.lengths[stop] == self.lengths[start]):
                break
            stop += 1
        return stop

    def batch(self, start: int, stop: int, device: torch.device | str) -> Batch:
        """The rows from `start` to `stop`, each padded to the longest."""
        return pad(self.examples, self.rows[start:stop], int(self.lengths[stop - 1]), device)


def run_batches(
    work: Callable[[Batch], Result],
    examples: Examples,
    rows: Sequence[int] | Rows | None = None,
    *,
    token_budget: int | None = None,
    pad_to: int | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Batch, Result]]:
    """`rows` (None: all) in batches, each with what `work` returns for it.

    A batch has at most `token_budget` positions (None: as many as suit the device), or is one example that is longer
    than that. Examples of like length come together and are padded to the longest of their batch. With `pad_to` every
    example is padded to that many positions and the given order is kept. A batch that runs out of memory is run again
    as smaller ones (see `in_parts`), so `work` must leave nothing behind when it raises.
    """
    order = Order.of(examples, rows, pad_to)

    def run(start: int, stop: int) -> tuple[Batch, Result]:
        batch = order.batch(start, stop, device)
        return batch, work(batch)

    yield from in_parts(run, len(order.rows), order.end, token_budget or budget_on(device))


def budget_on(device: torch.device | str) -> int:
    """Positions of one batch that suit a device; one that is too small for them gets less, see `in_parts`."""
    return TOKEN_BUDGET if torch.device(device).type == "cpu" else DEVICE_TOKEN_BUDGET


def pad(examples: Examples, rows: Rows, length: int, device: torch.device | str) -> Batch:
    """One batch of exactly `rows`, each padded to `length`."""
    inputs = {name: torch.from_numpy(array).to(device) for name, array in examples.collate(rows, length).items()}
    lengths = examples.lengths(rows)
    real = int(lengths.max()) if 0 < lengths.min() <= lengths.max() < length else None
    return Batch(rows, inputs, torch.from_numpy(examples.labels[rows]).to(device), real)


def forward(model: nn.Module, batch: Batch, **options: Any) -> Any:
    """The model's outputs for a batch; the token types of single texts are left to the model, which may not know them.

    Pads of every row are not attended to. Raises UnsupportedModel for padded embeddings and a decoder, which would
    answer from the last pad.
    """
    if "inputs_embeds" in batch.inputs and isinstance(model, GenericForSequenceClassification):
        _check_last_position(batch)
    with over_real_keys(batch.real):
        return model(**batch.inputs, **options)


def mean_over_positions(states: Tensor, batch: Batch) -> Tensor:
    """The mean of `states` [b, t, hidden] over the positions that count: [b, hidden]."""
    if batch.attention_mask is None:
        return states.mean(1)
    real = batch.attention_mask.unsqueeze(-1)
    return (states * real).sum(1) / real.sum(1)


def unwatched(_rows_done: int) -> None:
    """The checkpoint that nobody listens to."""


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def on_cpu(model: nn.Module) -> nn.Module:
    """The model on the CPU: itself, or a copy of one that is on another device."""
    return model if device_of(model).type == "cpu" else copy.deepcopy(model).cpu()


def _check_last_position(batch: Batch) -> None:
    if batch.attention_mask is not None and not bool(batch.attention_mask[:, -1].all()):
        raise UnsupportedModel(
            "This model answers from the last position, and cannot tell pads from embeddings.",
            hint='Use `calibration: {"pads": "exclude", "pairing": "free"}` with generated samples.',
        )
