"""Parts: opened modules, each for one concern, and the models they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from app.domain.combinations import POINTER, check_labels
from app.domain.errors import InvalidInput
from microlith.contract import Concern
from microlith.contract.catalog import Task
from microlith.contract.options import NumberType
from microlith.masks import Base
from worker.compute.examples import Examples, PixelExamples, encode
from worker.evaluation.runner import evenly
from worker.families.anatomy import Anatomy, anatomy
from worker.pruning.masks import Mask
from worker.pruning.surgery import realised
from worker.sources.images import Images, prepare
from worker.sources.models import LoadedModel
from worker.sources.open_sources import patch_of

Encoder = Callable[[Sequence[Any]], Examples]
"""Inputs, as the dataset has them, to what a model reads; the labels it gives mean nothing."""


@dataclass(frozen=True)
class Origin:
    """A model that modules were made of, open and whole; one object for all of its modules.

    What reads texts has a tokenizer, what reads images a processor and the shape of its images; the other is None.
    """

    ref: str
    model: nn.Module
    labels: Sequence[str]
    encoder: Encoder
    tokenizer: Any = None
    max_length: int = 512
    processor: Any = None
    image_shape: Sequence[int] | None = None
    number_type: NumberType = "float32"
    """That its checkpoint came in."""
    pairs: bool = False
    """Whether its texts come in pairs."""
    segments: bool = False
    """Whether it reads which of the two a token is of."""
    found: Anatomy | None = None
    """Where it keeps its neurons and heads, if that was looked for when it was opened."""

    @classmethod
    def of(cls, loaded: LoadedModel, *, pairs: bool = False) -> Origin:
        """Of a model that was loaded by reference, and what reads its inputs, which may be pairs of texts."""
        if loaded.info.task == "image":
            encoder = image_encoder(loaded.processor, loaded.info.image_shape or [], patch_of(loaded))
        else:
            pad_id = pad_of(loaded.model)
            how: dict[str, Any] = {"pad_id": pad_id, "padded": loaded.padded, "segments": loaded.segments}
            encoder = text_encoder(loaded.tokenizer, loaded.max_length, **how)
        return cls(
            loaded.facts.ref,
            loaded.model,
            loaded.labels,
            encoder,
            loaded.tokenizer,
            loaded.max_length,
            loaded.processor,
            loaded.info.image_shape,
            loaded.number_type,
            pairs,
            pairs and loaded.segments,
            loaded.anatomy,
        )

    @property
    def task(self) -> Task:
        """What it reads."""
        return "text" if self.image_shape is None else "image"

    @property
    def samples(self) -> Sequence[Any]:
        """A few inputs that graphs are exported with: their sizes are free or fixed, so that any do."""
        if self.pairs:
            return [("one short example", "and its pair"), ("another", "another pair"), ("a third one", "its pair")]
        if self.image_shape is None:
            return ("one short example", "another", "a third one")
        return [np.zeros(tuple(self.image_shape), np.float32)] * 3

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where it keeps its neurons and heads."""
        return self.found or anatomy(self.model)

    @cached_property
    def sha256(self) -> str:
        """The digest of its tensors; to be asked while no mask lies over them."""
        return Base.of(self.model).sha256


@dataclass(frozen=True)
class ModulePart:
    """A module for one concern: a mask over its origin, a model of its own, or with neither the origin itself.

    `answer` is the concern's place among the logits: its id, or 1 in a model with a binary head. `whole` is the origin
    with its whole vocabulary, where that is another one.
    """

    origin: Origin
    concern: Concern
    mask: Mask | None = None
    module: nn.Module | None = None
    answer: int | None = None
    id: str | None = None
    whole: Origin | None = None

    @property
    def base(self) -> Origin:
        """The model that it was made of, reading with its whole vocabulary."""
        return self.whole or self.origin

    @property
    def place(self) -> int:
        """Which of the logits is the concern's."""
        return self.concern.id if self.answer is None else self.answer

    @property
    def voice(self) -> tuple[int, str]:
        """Equal for parts that are the same model, so that each model is run once."""
        if self.module is not None:
            return id(self.module), "model"
        return id(self.origin), self.mask.digest() if self.mask else "origin"

    @contextmanager
    def opened(self) -> Iterator[nn.Module]:
        """The module as an ordinary model, until the context ends."""
        if self.module is not None:
            yield self.module
        elif self.mask is not None:
            with realised(self.origin.model, self.mask, self.origin.anatomy) as module:
                yield module
        else:
            yield self.origin.model


@dataclass(frozen=True)
class LabelledRows:
    """Examples of a split: inputs as the dataset has them, and the names of their labels."""

    inputs: Sequence[Any]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.inputs)

    def among(self, labels: Sequence[str]) -> LabelledRows:
        """The examples of these labels, in their order."""
        names = set(labels)
        chosen = [row for row, label in enumerate(self.labels) if label in names]
        return LabelledRows([self.inputs[row] for row in chosen], [self.labels[row] for row in chosen])

    def thinned(self, limit: int | None) -> LabelledRows:
        """At most `limit` of the examples, spread evenly over them."""
        chosen = evenly(len(self), limit)
        return LabelledRows([self.inputs[row] for row in chosen], [self.labels[row] for row in chosen])

    def ids(self, labels: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Each row's place among `labels` [rows]."""
        places = {label: place for place, label in enumerate(labels)}
        return np.array([places[label] for label in self.labels], dtype=np.int64)


def labels_of(parts: Sequence[ModulePart]) -> list[str]:
    """The label of each part, in their order. Raises InvalidInput for a single part, or a label that comes twice."""
    labels = [part.concern.label for part in parts]
    if len(labels) < 2:
        raise InvalidInput("One module is no choice: a combination needs two concerns or more.", pointer=POINTER)
    check_labels(labels)
    return labels


def text_encoder(
    tokenizer: Any, max_length: int, *, pad_id: int | None = None, padded: bool = True, segments: bool = False
) -> Encoder:
    """Texts or pairs to what a model reads, truncated to `max_length`; pads as `pad_id` says, or else as the tokenizer
    does. `segments` says whether the model reads which of two texts a token is of.
    """

    def encoded(texts: Sequence[Any]) -> Examples:
        labels = np.zeros(len(texts), np.int64)
        examples = replace(encode(texts, labels, tokenizer, max_length, segments=segments), padded=padded)
        return examples if pad_id is None else replace(examples, pad_id=pad_id)

    return encoded


def image_encoder(processor: Any, shape: Sequence[int], patch: int) -> Encoder:
    """Images, all of them stored in one way, to what a model reads: as `worker.sources.images` prepares them."""

    def encoded(images: Sequence[Any]) -> Examples:
        numbers = len(images) > 0 and isinstance(images[0], np.ndarray)
        held: Images = np.stack(list(images)) if numbers else list(images)
        pixels = prepare(held, range(len(images)), processor, shape)
        return PixelExamples(pixels, np.zeros(len(images), np.int64), patch)

    return encoded


def pad_of(model: Any) -> int | None:
    """The pad that a model's config names: a decoder finds its last token by it."""
    pad = getattr(model.config, "pad_token_id", None)
    return None if pad is None else int(pad)
