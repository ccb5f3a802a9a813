"""What goes into a model: encoded examples, and batches of them that waste nothing on padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Rows = npt.NDArray[np.int64]

Checkpoint = Callable[[int], None]
"""Hears how many rows are done after each batch, and may raise to stop the work."""

TOKEN_BUDGET = 2048
"""Tokens of one batch, pads included: large enough to fill the cores, small enough to stay in their caches."""


@dataclass(frozen=True)
class Examples:
    """Encoded texts of one split: special tokens included, truncated to `max_length`, never padded."""

    token_ids: Sequence[Sequence[int]]
    labels: Rows  # [rows]
    pad_id: int
    max_length: int

    def __len__(self) -> int:
        return len(self.token_ids)

    def take(self, rows: Sequence[int] | Rows) -> Examples:
        """The examples of `rows`, in the order asked."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(self, token_ids=[self.token_ids[row] for row in chosen], labels=self.labels[chosen])


@dataclass(frozen=True)
class Batch:
    """A padded rectangle of examples; `rows` says where each came from."""

    rows: Rows  # [b]
    input_ids: Tensor  # [b, t]
    attention_mask: Tensor  # [b, t], 1 on tokens and 0 on pads
    labels: Tensor  # [b]

    def __len__(self) -> int:
        return len(self.rows)


def encode(texts: Sequence[str], labels: Sequence[int] | Rows, tokenizer: Any, max_length: int) -> Examples:
    """Texts as the model reads them: special tokens included, truncated to `max_length`, not padded."""
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    pad_id = tokenizer.pad_token_id
    return Examples(
        token_ids=encoded["input_ids"],
        labels=np.asarray(labels, dtype=np.int64),
        pad_id=0 if pad_id is None else pad_id,
        max_length=max_length,
    )


def longest_input(config: Any, tokenizer: Any) -> int:
    """Tokens that a model takes at most: its positions, less those RoBERTa's kind keeps before the first token."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    if config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= config.pad_token_id + 1
    return min(positions, int(tokenizer.model_max_length))


def batches(
    examples: Examples,
    rows: Sequence[int] | Rows | None = None,
    *,
    token_budget: int = TOKEN_BUDGET,
    pad_to: int | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Batch]:
    """`rows` (None: all) in batches of at most `token_budget` tokens, or of one example that is longer than that.

    Examples of like length come together and are padded to the longest of their batch. With `pad_to` every
    example is padded to that many tokens and the given order is kept.
    """
    chosen = np.arange(len(examples)) if rows is None else np.asarray(rows, dtype=np.int64)
    lengths = np.array([len(examples.token_ids[row]) for row in chosen], dtype=np.int64)
    if pad_to is None:
        order = np.argsort(lengths, kind="stable")
        chosen, lengths = chosen[order], lengths[order]
    else:
        lengths = np.full_like(lengths, pad_to)
    start = 0
    for stop in _ends(lengths, token_budget):
        yield pad(examples, chosen[start:stop], int(lengths[stop - 1]), device)
        start = stop


def pad(examples: Examples, rows: Rows, length: int, device: torch.device | str) -> Batch:
    """One batch of exactly `rows`, each padded to `length`."""
    input_ids = np.full((len(rows), length), examples.pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(rows), length), dtype=np.int64)
    for place, row in enumerate(rows):
        tokens = examples.token_ids[row]
        input_ids[place, : len(tokens)] = tokens
        attention_mask[place, : len(tokens)] = 1
    labels = examples.labels[rows]
    tensors = (torch.from_numpy(array).to(device) for array in (input_ids, attention_mask, labels))
    return Batch(rows, *tensors)


def forward(model: nn.Module, batch: Batch, **options: Any) -> Any:
    """The model's outputs for a batch; segment ids are left to the model, which may not know them."""
    return model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **options)


def unwatched(_rows_done: int) -> None:
    """The checkpoint that nobody listens to."""


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


def _ends(lengths: Rows, token_budget: int) -> Iterator[int]:
    """Where each batch ends. `lengths` ascends, so the last example of a batch is its longest."""
    size = 0
    for place, length in enumerate(lengths):
        if size and (size + 1) * length > token_budget:
            yield place
            size = 0
        size += 1
    if size:
        yield len(lengths)
