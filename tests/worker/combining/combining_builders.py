"""Tiny bases with labels and tokens, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from microlith.contract import Concern
from microlith.contract.combine import CombineSpec
from tests.builders import MAX_LENGTH, VOCABULARY
from worker.combining.parts import LabelledRows, ModulePart, Origin, text_encoder
from worker.pruning.masks import Bits, Mask

LABELS = ["act", "body", "food", "plant"]


def spec(mode: str = "recompose", **more: Any) -> CombineSpec:
    """A spec with few resamples; which modules and data it names is not looked at."""
    modules = [f"mod_{'0' * 25}{place}" for place in "12"]
    evaluation = {"bootstrap": {"resamples": 100}}
    return CombineSpec.model_validate(
        {"mode": mode, "modules": modules, "dataset": "demo:none", "evaluation": evaluation} | more
    )


def words_tokenizer(shift: int = 0) -> PreTrainedTokenizerFast:
    """The words w0, w1, …, each an id of its own; another `shift` gives the same words other ids."""
    count = VOCABULARY - 2
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {f"w{n}": 2 + (n + shift) % count for n in range(count)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def origin(model: nn.Module, labels: Sequence[str] = LABELS, *, shift: int = 0, ref: str = "demo:tiny") -> Origin:
    """A model that answers `labels`, with a tokenizer of its own."""
    tokenizer = words_tokenizer(shift)
    return Origin(ref, model, list(labels), text_encoder(tokenizer, MAX_LENGTH), tokenizer, MAX_LENGTH)


def part(of: Origin, label: str, mask: Mask | None = None) -> ModulePart:
    """The part of an origin for one of its labels."""
    return ModulePart(of, Concern(id=list(of.labels).index(label), label=label), mask)


def rows(count: int = 40, labels: Sequence[str] = LABELS, *, seed: int = 0) -> LabelledRows:
    """Texts of one to nine words, fewer than any model truncates; labels go round."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(f"w{n}" for n in rng.integers(VOCABULARY - 2, size=rng.integers(1, 10))) for _ in range(count)]
    return LabelledRows(texts, [labels[row % len(labels)] for row in range(count)])


def weight_mask(of: Origin, *, kept: float = 0.5, seed: int = 0) -> Mask:
    """About `kept` of every feed-forward layer's weights."""
    rng, parts = np.random.default_rng(seed), of.anatomy
    layers = [layer for block in parts.feed_forwards for layer in block.layers]
    return Mask("weights", weights={name: Bits.pack(rng.random(parts.shapes[name]) < kept) for name in layers})


def neuron_mask(of: Origin, *, kept: float = 0.4, seed: int = 0) -> Mask:
    """About `kept` of every block's neurons."""
    rng, parts = np.random.default_rng(seed), of.anatomy
    blocks = {part.block: parts.neurons(part) for part in parts.feed_forwards}
    return Mask("neurons", neurons={block: Bits.pack(rng.random(count) < kept) for block, count in blocks.items()})
