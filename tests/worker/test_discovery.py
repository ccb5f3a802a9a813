"""Parts that are found in a model, whatever its layers are called: those of the families, and of models without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    PreTrainedConfig,
    SwinConfig,
    SwinForImageClassification,
)

from tests.builders import KINDS, tiny_model
from tests.worker.sources.test_every_classifier import WORDS, tiny
from worker.compute.batches import Batch, forward, pad
from worker.compute.examples import PixelExamples, TokenExamples
from worker.families.anatomy import Anatomy, anatomy
from worker.families.discovery import EXPERTS, NO_HEADS, NO_NEURONS, find_parts
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.narrowing import narrow
from worker.pruning.proof import proved
from worker.pruning.surgery import realised

SIDE = 8


def texts(largest: int) -> Batch:
    """Two texts of eight tokens below `largest`, of which the last is [SEP]."""
    ids = np.random.default_rng(0).integers(5, largest, size=(2, 8))
    ids[:, -1] = WORDS.index("[SEP]")
    examples = TokenExamples(ids.tolist(), np.zeros(2, dtype=np.int64), pad_id=0, max_length=8)
    return pad(examples, np.arange(2), 8, "cpu")


def images(side: int) -> Batch:
    pixels = np.random.default_rng(0).standard_normal((2, 1, side, side), dtype=np.float32)
    return pad(PixelExamples(pixels, np.zeros(2, dtype=np.int64), patch=side), np.arange(2), 2, "cpu")


def spread(model: nn.Module) -> nn.Module:
    """The same model with weights large enough to matter, which need no gradients."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.2)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_model_of_a_family_the_parts_that_its_names_tell_are_found(kind: str) -> None:
    model = tiny_model(kind).requires_grad_(False)
    batch = images(SIDE) if kind == "vit" else texts(40)
    known, found = anatomy(model), proved(model, batch, find_parts(model, batch))
    assert found == known


@dataclass(frozen=True)
class FoundInIt:
    """What is found in a tiny model: parts, the settings of their width, and whether removed heads stay as zeros."""

    feed_forwards: int = 2
    attentions: int = 2
    widths: tuple[str, ...] = ("intermediate_size",)
    heads_stay: bool = False
    classifier: str | None = "score"
    lacking: dict[str, str] | None = None


FOREIGN = {
    "qwen3": FoundInIt(),
    "mistral": FoundInIt(),
    "gemma": FoundInIt(),
    "phi": FoundInIt(),
    "phi3": FoundInIt(heads_stay=True),
    "gpt_neox": FoundInIt(),
    "opt": FoundInIt(widths=("ffn_dim",)),
    "bloom": FoundInIt(widths=(), heads_stay=True),
    "big_bird": FoundInIt(classifier="classifier.out_proj"),
    "rembert": FoundInIt(classifier="classifier"),
    "roformer": FoundInIt(classifier="classifier.out_proj"),
    "mobilebert": FoundInIt(8, classifier="classifier"),
    "esm": FoundInIt(classifier="classifier.out_proj"),
    "bart": FoundInIt(4, 6, ("encoder_ffn_dim", "decoder_ffn_dim"), classifier="classification_head.out_proj"),
    "t5": FoundInIt(4, 6, ("d_ff",), heads_stay=True, classifier="classification_head.out_proj"),
    "mixtral": FoundInIt(feed_forwards=0, widths=(), lacking={"neurons": EXPERTS}),
}
IMAGES: dict[str, tuple[Any, FoundInIt]] = {
    "swin": (
        lambda: SwinForImageClassification(
            SwinConfig(
                image_size=16,
                patch_size=2,
                num_channels=1,
                embed_dim=16,
                depths=[2, 2],
                num_heads=[2, 4],
                window_size=2,
                num_labels=3,
            )
        ),
        FoundInIt(4, 4, (), heads_stay=True, classifier="classifier"),
    ),
    "deit": (lambda: DeiTForImageClassification(DeiTConfig(**vision())), FoundInIt(classifier="classifier")),
    "beit": (
        lambda: BeitForImageClassification(BeitConfig(**vision(), use_relative_position_bias=True)),
        FoundInIt(heads_stay=True, classifier="classifier"),
    ),
}


def vision() -> dict[str, Any]:
    sizes = {"image_size": SIDE, "patch_size": 4, "num_channels": 1, "num_labels": 3}
    return sizes | {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}


def made(kind: str) -> tuple[nn.Module, Batch, FoundInIt]:
    if kind in IMAGES:
        build, expected = IMAGES[kind]
        model = spread(build())
        return model, images(model.config.image_size), expected
    model = tiny(kind).requires_grad_(False)
    if kind == "mobilebert":  # which nothing keeps in bounds at these weights
        model.mobilebert.encoder.apply(lambda module: isinstance(module, nn.Linear) and module.weight.mul_(0.3))
    return model, texts(len(WORDS)), FOREIGN[kind]


@pytest.mark.parametrize("kind", [*FOREIGN, *IMAGES])
def test_what_is_found_in_a_model_of_no_family_can_be_removed(kind: str) -> None:
    model, batch, expected = made(kind)
    parts = proved(model, batch, find_parts(model, batch))
    assert (
        FoundInIt(
            len(parts.feed_forwards),
            len(parts.attentions),
            parts.widths,
            parts.heads_stay,
            parts.classifier,
            expected.lacking,
        )
        == expected
    )
    assert parts.lacking == (expected.lacking or {})
    assert len({part.block for part in parts.feed_forwards}) == expected.feed_forwards
    assert len({part.block for part in parts.attentions}) == expected.attentions
    mask = half_of(parts)
    with applied(model, mask, parts):
        masked = logits(model, batch)
    with realised(model, mask, parts) as module:
        small = narrow(module, mask, parts).model
        torch.testing.assert_close(logits(small, batch), masked, rtol=1e-4, atol=1e-4)
    if module is not model:
        again = type(model)(module.config).eval()
        again.load_state_dict(module.state_dict())
        torch.testing.assert_close(logits(again, batch), masked, rtol=1e-4, atol=1e-4)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def half_of(parts: Anatomy) -> Mask:
    """A mask of every other neuron and head."""
    neurons = {part.block: Bits.pack(np.arange(parts.neurons(part)) % 2 == 0) for part in parts.feed_forwards}
    heads = {part.block: Bits.pack(np.arange(parts.heads(part)) % 2 == 0) for part in parts.attentions}
    return Mask("heads+neurons", neurons=neurons, heads=heads)


def logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        answer: torch.Tensor = forward(model, batch).logits
        return answer


class ToyAnswer:
    def __init__(self, numbers: torch.Tensor) -> None:
        self.logits = numbers


class Toy(nn.Module):
    """A classifier of two blocks with one twist that no name tells of."""

    def __init__(self, twist: str) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.table = nn.Embedding(40, 8)
        self.blocks = nn.ModuleList(ToyBlock(twist) for _ in range(2))
        self.top = nn.Linear(8, 3)
        spread(self)
        if twist == "dead":
            for block in self.blocks:
                nn.init.zeros_(block.close.weight)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> ToyAnswer:
        states = self.table(input_ids) * attention_mask.unsqueeze(-1)
        for block in self.blocks:
            states = block(states)
        return ToyAnswer(self.top(states[:, 0]))


class ToyBlock(nn.Module):
    def __init__(self, twist: str) -> None:
        super().__init__()
        self.twist = twist
        self.one, self.two, self.three, self.four = (nn.Linear(8, 8) for _ in range(4))
        self.open, self.close = nn.Linear(8, 8), nn.Linear(8, 8)
        self.norm, self.query_norm = nn.LayerNorm(8), nn.LayerNorm(8)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        asked = (
            self.query_norm(self.one(states)) if self.twist == "queries are normalised together" else self.one(states)
        )
        given = [x.view(*x.shape[:2], 2, 4).transpose(1, 2) for x in (asked, self.two(states), self.three(states))]
        context = nn.functional.scaled_dot_product_attention(*given).transpose(1, 2).flatten(2)
        states = self.norm(states + self.four(context))
        inner = torch.tanh(self.open(states))
        read = self.norm(inner) if self.twist == "neurons are normalised" else inner
        return states + self.close(read) + (inner if self.twist == "neurons are read twice" else 0.0)


@pytest.mark.parametrize(
    ("twist", "lacking"),
    [
        ("none", {}),
        ("queries are normalised together", {"heads": NO_HEADS}),
        ("neurons are normalised", {"neurons": NO_NEURONS}),
        ("neurons are read twice", {"neurons": NO_NEURONS}),
        ("dead", {"neurons": "Without half of its neurons it answers as before."}),
    ],
)
def test_a_model_that_only_looks_like_it_is_told_why_not(twist: str, lacking: dict[str, str]) -> None:
    model, batch = Toy(twist), texts(40)
    parts = proved(model, batch, find_parts(model, batch))
    assert parts.lacking == lacking
    assert len(parts.feed_forwards) == (0 if "neurons" in lacking else 2)
    assert len(parts.attentions) == (0 if "heads" in lacking else 2)
    assert parts.classifier == "top"


def test_parts_that_do_not_hold_together_are_refuted() -> None:
    """Heads are taken for half as wide as they are, and the neurons of one block for those of the other."""
    model, batch = Toy("none"), texts(40)
    found = find_parts(model, batch)
    first, second = found.feed_forwards
    crossed = (replace(first, writers=second.writers), replace(second, writers=first.writers))
    doubled = {block: 2 * heads for block, heads in found.head_counts.items()}
    said = proved(model, batch, replace(found, feed_forwards=crossed, head_counts=doubled)).lacking
    assert "half of its neurons it answers otherwise than with zeros" in said["neurons"]
    assert "half of its heads it answers otherwise than with zeros" in said["heads"]
