"""Examples of one split in three kinds: texts as token ids, embeddings, and images as pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from worker.compute.arrays import Floats, Rows, Truth
from worker.sources.library_errors import foreign

TOGETHER, CHARACTERS_TOGETHER = 1000, 4_000_000
"""Texts that are tokenised at a time: all that a tokenizer says of a text takes a hundred times as much as its ids."""


class Examples(Protocol):
    """What every kind of examples of one split can do."""

    @property
    def labels(self) -> Truth:
        """The true class of every row [rows], or whether it has each label [rows, labels]."""

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
    """Encoded texts: special tokens included, truncated to `max_length`, never padded.

    Where pads would change a model's answers, `padded` is false: texts of unlike lengths are batched apart.
    """

    token_ids: Sequence[Sequence[int]]
    labels: Truth  # [rows] or [rows, labels]
    pad_id: int
    max_length: int
    padded: bool = True

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
    labels: Truth  # [rows] or [rows, labels]
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


def encode(texts: Sequence[str], labels: Sequence[int] | Truth, tokenizer: Any, max_length: int) -> TokenExamples:
    """Texts as the model reads them."""
    pad_id = tokenizer.pad_token_id
    return TokenExamples(
        token_ids=token_ids(texts, tokenizer, max_length),
        labels=np.asarray(labels, dtype=np.bool_ if np.ndim(labels) == 2 else np.int64),
        pad_id=0 if pad_id is None else pad_id,
        max_length=max_length,
    )


def token_ids(texts: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """Texts as ids: special tokens included, truncated to `max_length`, not padded.

    A text of no tokens is one pad, so that there is a position to answer at. Raises UnsupportedModel for a tokenizer
    that breaks.
    """
    options = {"truncation": True, "max_length": max_length, "padding": False}
    unasked = {"return_attention_mask": False, "return_token_type_ids": False}
    ids: list[list[int]] = []
    for some in _portions(texts):
        with foreign("The model's tokenizer cannot read the texts"):
            ids += tokenizer(some, **options, **unasked)["input_ids"]
    pad = [getattr(tokenizer, "pad_token_id", None) or 0]
    return [tokens or pad for tokens in ids]


def _portions(texts: Sequence[str]) -> Iterator[list[str]]:
    """All texts in order, so many at a time; fewer where they are long, one at least."""
    some: list[str] = []
    characters = 0
    for text in texts:
        if some and (len(some) == TOGETHER or characters + len(text) > CHARACTERS_TOGETHER):
            yield some
            some, characters = [], 0
        some.append(text)
        characters += len(text)
    if some:
        yield some
