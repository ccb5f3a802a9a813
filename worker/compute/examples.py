"""Examples of one split in three kinds: texts as token ids, embeddings, and images as pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from worker.compute.arrays import Floats, Rows, Truth
from worker.sources.library_errors import foreign

SEGMENTS = "token_type_ids"
"""What models call the token types: which of two texts a token is of."""

PairOfTexts = tuple[str, str]
"""Two texts that are read together."""

GivenText = str | PairOfTexts

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

    Where pads would change a model's answers, `padded` is false: texts of unlike lengths are batched apart. `segments`
    are the token types of pairs, for models that read them.
    """

    token_ids: Sequence[Sequence[int]]
    labels: Truth  # [rows] or [rows, labels]
    pad_id: int
    max_length: int
    padded: bool = True
    segments: Sequence[Sequence[int]] | None = None  # [rows], as long as the ids

    def __len__(self) -> int:
        return len(self.token_ids)

    def take(self, rows: Sequence[int] | Rows) -> TokenExamples:
        """The examples of `rows`, in the order asked."""
        chosen = np.asarray(rows, dtype=np.int64)
        segments = self.segments and [self.segments[row] for row in chosen]
        token_ids = [self.token_ids[row] for row in chosen]
        return replace(self, token_ids=token_ids, segments=segments, labels=self.labels[chosen])

    def lengths(self, rows: Rows) -> Rows:
        """Tokens of each row."""
        return np.array([len(self.token_ids[row]) for row in rows], dtype=np.int64)

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:
        """`input_ids` [rows, length], `attention_mask`, 1 on tokens and 0 on pads, and pairs' `token_type_ids`."""
        input_ids = np.full((len(rows), length), self.pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(rows), length), dtype=np.int64)
        for place, row in enumerate(rows):
            tokens = self.token_ids[row]
            input_ids[place, : len(tokens)] = tokens
            attention_mask[place, : len(tokens)] = 1
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        return inputs if self.segments is None else inputs | {SEGMENTS: _laid_out(self.segments, rows, length)}


@dataclass(frozen=True)
class EmbeddedExamples:
    """Word embeddings, fed past the embedding layer; a row may hold pads of its own, which its mask says.

    Rows of unlike lengths are batched apart, because a decoder reads the last position of embeddings, pad or not.
    `segments` are the token types of pairs, for models that read them.
    """

    embeddings: Sequence[Floats]  # [rows] of [t, embedding]
    attention_masks: Sequence[npt.NDArray[np.integer[Any]]]  # [rows] of [t], 1 where a position counts
    labels: Rows  # [rows]
    segments: Sequence[npt.NDArray[np.integer[Any]]] | None = None  # [rows] of [t]
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
        segments = self.segments and [self.segments[row] for row in at]
        return EmbeddedExamples(embeddings, masks, self.labels[at], segments)

    def lengths(self, rows: Rows) -> Rows:
        """Positions of each row, its own pads included."""
        return np.array([len(self.embeddings[row]) for row in rows], dtype=np.int64)

    def collate(self, rows: Rows, length: int) -> dict[str, npt.NDArray[Any]]:
        """`inputs_embeds` [rows, length, embedding], zero on pads, `attention_mask` [rows, length], and the
        `token_type_ids` of pairs.
        """
        width = self.embeddings[rows[0]].shape[1] if len(rows) else 0
        inputs_embeds = np.zeros((len(rows), length, width), dtype=np.float32)
        attention_mask = np.zeros((len(rows), length), dtype=np.int64)
        for place, row in enumerate(rows):
            inputs_embeds[place, : len(self.embeddings[row])] = self.embeddings[row]
            attention_mask[place, : len(self.attention_masks[row])] = self.attention_masks[row]
        inputs = {"inputs_embeds": inputs_embeds, "attention_mask": attention_mask}
        return inputs if self.segments is None else inputs | {SEGMENTS: _laid_out(self.segments, rows, length)}


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


@dataclass(frozen=True)
class Tokens:
    """Texts as ids [rows] of [t], their token types where those are asked for, and which rows were cut.

    A tokenizer that is not of the tokenizers library does not say what it cut.
    """

    ids: list[list[int]]
    segments: list[list[int]] | None = None
    cut: list[int] = field(default_factory=list)


def encode(
    texts: Sequence[GivenText],
    labels: Sequence[int] | Truth,
    tokenizer: Any,
    max_length: int,
    *,
    segments: bool = False,
) -> TokenExamples:
    """Texts as the model reads them; `segments` says whether it reads the token types of pairs."""
    pad_id, tokens = tokenizer.pad_token_id, tokenise(texts, tokenizer, max_length, segments=segments)
    return TokenExamples(
        token_ids=tokens.ids,
        labels=np.asarray(labels, dtype=np.bool_ if np.ndim(labels) == 2 else np.int64),
        pad_id=0 if pad_id is None else pad_id,
        max_length=max_length,
        segments=tokens.segments,
    )


def tokenise(texts: Sequence[GivenText], tokenizer: Any, max_length: int, *, segments: bool = False) -> Tokens:
    """Texts, or pairs, as ids: special tokens included, truncated to `max_length`, not padded.

    The longer text of a pair is cut first. A text of no tokens is one pad, so that there is a position to answer at.
    `segments` asks for the token types of pairs. Raises UnsupportedModel for a tokenizer that breaks.
    """
    pairs = are_pairs(texts)
    options = {"truncation": "longest_first", "max_length": max_length, "padding": False}
    wanted = {"return_attention_mask": False, "return_token_type_ids": pairs and segments}
    tokens = Tokens([], [] if pairs and segments else None)
    for some in _portions(texts):
        given = [list(side) for side in zip(*some, strict=True)] if pairs else [some]
        with foreign("The model's tokenizer cannot read the texts"):
            read = tokenizer(*given, **options, **wanted)
            encodings = getattr(read, "encodings", None) or []
            longest = (place for place, one in enumerate(encodings) if len(one.ids) == max_length and one.overflowing)
            tokens.cut.extend(len(tokens.ids) + place for place in longest)
            tokens.ids.extend(read["input_ids"])
            if tokens.segments is not None:
                tokens.segments.extend(read[SEGMENTS])
    pad = [getattr(tokenizer, "pad_token_id", None) or 0]
    filled = tokens.segments and [types or [0] for types in tokens.segments]
    return Tokens([ids or pad for ids in tokens.ids], filled, tokens.cut)


def are_pairs(texts: Sequence[GivenText]) -> bool:
    """Whether these are pairs of texts; what is read together is all of one kind."""
    return len(texts) > 0 and not isinstance(texts[0], str)


def _portions(texts: Sequence[GivenText]) -> Iterator[list[GivenText]]:
    """All texts in order, so many at a time; fewer where they are long, one at least."""
    some: list[GivenText] = []
    characters = 0
    for text in texts:
        size = len(text) if isinstance(text, str) else sum(map(len, text))
        if some and (len(some) == TOGETHER or characters + size > CHARACTERS_TOGETHER):
            yield some
            some, characters = [], 0
        some.append(text)
        characters += size
    if some:
        yield some


def _laid_out(segments: Sequence[Any], rows: Rows, length: int) -> npt.NDArray[np.int64]:
    """The token types of `rows` [rows, length], zero on pads."""
    types = np.zeros((len(rows), length), dtype=np.int64)
    for place, row in enumerate(rows):
        types[place, : len(segments[row])] = segments[row]
    return types
