"""What goes into a model: examples of three kinds, and batches of them that waste nothing on padding."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers.modeling_layers import GenericForSequenceClassification

from app.domain.errors import UnsupportedModel
from worker.memory import in_parts
from worker.real_keys import over_real_keys

Found = TypeVar("Found")
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

Checkpoint = Callable[[int], None]
"""Hears how many rows are done after each batch, and may raise to stop the work."""

TOKEN_BUDGET = 2048
"""Positions of one batch, pads included: large enough to fill the cores, small enough to stay in their caches."""


class Examples(Protocol):
    """What every kind of examples of one split can do."""

    @property
    def labels(self) -> Rows:
        """The true class of every row [rows]."""

    @property
    def max_length(self) -> int | None:
        """The length that inputs are padded to where pads count; None where nothing is ever padded."""

    @property
    def padded(self) -> bool:
        """Whether a batch may hold inputs of unlike lengths."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int] | Rows) -> Examples:
        """The examples of `rows`, in the order asked."""

    def lengths(self, rows: Rows) -> Rows:
        """How many positions of the model each row takes [rows]."""

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs for `rows`, each padded to `length` positions, by the names the model gives them."""


@dataclass(frozen=True)
class TokenExamples:
    """Encoded texts: special tokens included, truncated to `max_length`, never padded."""

    token_ids: Sequence[Sequence[int]]
    labels: Rows  # [rows]
    pad_id: int
    max_length: int
    padded = True

    def __len__(self) -> int:
        return len(self.token_ids)

    def take(self, rows: Sequence[int] | Rows) -> TokenExamples:
        """The examples of `rows`, in the order asked."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self, token_ids=[self.token_ids[row] for row in chosen], labels=self.labels[chosen])

    def lengths(self, rows: Rows) -> Rows:
        """Tokens of each row."""
        return np.array([len(self.token_ids[row]) for row in rows], dtype=np.int64)

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:
        """`input_ids` [rows, length] and `attention_mask`, 1 on tokens and 0 on pads."""
        input_ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(rows), length), dtype=np.int64)
        for place, row in enumerate(rows):
            tokens = self.token_ids[row]
            input_ids[place, : len(tokens)] = tokens
            attention_mask[place, : len(tokens)] = 1
        return {"input_ids": input_ids, "attention_mask": attention_mask}


@dataclass(frozen=True)
class EmbeddedExamples:
    """Word embeddings, fed past the embedding layer; a row may hold pads of its own, which its mask says.

    Rows of unlike lengths are batched apart, because a decoder reads the last position of embeddings, pad or not.
    """

    embeddings: Sequence[Floats]  # [rows] of [t, embedding]
    attention_masks: Sequence[npt.NDArray[np.integer[Any]]]  # [rows] of [t], 1 where a position counts
    labels: Rows  # [rows]
    padded = False

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def max_length(self) -> int:
        """The longest row: where pads count, they are those that were stored."""
        return max((len(row) for row in self.embeddings), default=0)

    def take(self, rows: Sequence[int] | Rows) -> EmbeddedExamples:
        """The examples of `rows`, in the order asked."""
        at = np.asarray(rows, dtype=np.int64)
        embeddings, masks = ([given[row] for row in at] for given in (self.embeddings, self.attention_masks))
        return EmbeddedExamples(embeddings, masks, self.labels[at])

    def lengths(self, rows: Rows) -> Rows:
        """Positions of each row, its own pads included."""
        return np.array([len(self.embeddings[row]) for row in rows], dtype=np.int64)

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:
        """`inputs_embeds` [rows, length, embedding], zero on pads, and `attention_mask` [rows, length]."""
        width = self.embeddings[rows[0]].shape[1] if len(rows) else 0
        inputs_embeds = np.zeros((len(rows), length, width), dtype=np.float32)
        attention_mask = np.zeros((len(rows), length), dtype=np.int64)
        for place, row in enumerate(rows):
            inputs_embeds[place, : len(self.embeddings[row])] = self.embeddings[row]
            attention_mask[place, : len(self.attention_masks[row])] = self.attention_masks[row]
        return {"inputs_embeds": inputs_embeds, "attention_mask": attention_mask}


@dataclass(frozen=True)
class PixelExamples:
    """Images as the model reads them: scaled and normalised, all of one size, so that nothing is padded."""

    pixels: Floats  # [rows, channels, height, width]
    labels: Rows  # [rows]
    patch: int = 16  # pixels along the side of a patch, which is one position of the model
    max_length = None
    padded = False

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Sequence[int] | Rows) -> PixelExamples:
        """The examples of `rows`, in the order asked."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self, pixels=self.pixels[chosen], labels=self.labels[chosen])

    def lengths(self, rows: Rows) -> Rows:
        """One position for each patch, and one for the image."""
        height, width = self.pixels.shape[2:]
        return np.full(len(rows), 1 + (height // self.patch) * (width // self.patch), dtype=np.int64)

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:  # noqa: ARG002, images have one length
        """`pixel_values` [rows, channels, height, width]."""
        return {"pixel_values": self.pixels[rows]}


@dataclass(frozen=True)
class Batch:
    """What the model is given for some examples; `rows` says where each came from."""

    rows: Rows  # [b]
    inputs: Mapping[str, Tensor]
    labels: Tensor  # [b]
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


def encode(texts: Sequence[str], labels: Sequence[int] | Rows, tokenizer: Any, max_length: int) -> TokenExamples:
    """Texts as the model reads them: special tokens included, truncated to `max_length`, not padded."""
    options = {"truncation": True, "max_length": max_length, "padding": False}
    unasked = {"return_attention_mask": False, "return_token_type_ids": False}
    pad_id = tokenizer.pad_token_id
    return TokenExamples(
        token_ids=tokenizer(list(texts), **options, **unasked)["input_ids"] if texts else [],  # it cannot read nothing
        labels=np.asarray(labels, dtype=np.int64),
        pad_id=0 if pad_id is None else pad_id,
        max_length=max_length,
    )


def run_batches(
    work: Callable[[Batch], Found],
    examples: Examples,
    rows: Sequence[int] | Rows | None = None,
    *,
    token_budget: int = TOKEN_BUDGET,
    pad_to: int | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Batch, Found]]:
    """`rows` (None: all) in batches, each with what `work` returns for it.

    A batch has at most `token_budget` positions, or is one example that is longer than that. Examples of like length
    come together and are padded to the longest of their batch. With `pad_to` every example is padded to that many
    positions and the given order is kept. A batch that runs out of memory is run again as smaller ones (see
    `in_parts`), so `work` must leave nothing behind when it raises.
    """
    order = Order.of(examples, rows, pad_to)

    def run(start: int, stop: int) -> tuple[Batch, Found]:
        batch = order.batch(start, stop, device)
        return batch, work(batch)

    yield from in_parts(run, len(order.rows), order.end, token_budget)


def pad(examples: Examples, rows: Rows, length: int, device: torch.device | str) -> Batch:
    """One batch of exactly `rows`, each padded to `length`."""
    inputs = {name: torch.from_numpy(array).to(device) for name, array in examples.collate(rows, length).items()}
    lengths = examples.lengths(rows)
    real = int(lengths.max()) if 0 < lengths.min() <= lengths.max() < length else None
    return Batch(rows, inputs, torch.from_numpy(examples.labels[rows]).to(device), real)


def forward(model: nn.Module, batch: Batch, **options: Any) -> Any:
    """The model's outputs for a batch; segment ids are left to the model, which may not know them.

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
