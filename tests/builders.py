"""Tiny seeded models and examples: the engine's real shapes, at a size that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    ViTConfig,
    ViTForImageClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from worker.compute.examples import Examples, PixelExamples, TokenExamples

torch.set_num_threads(1)

VOCABULARY = 40
MAX_LENGTH = 12
IMAGE_SIDE, PATCH = 8, 4


def tiny_bert(*, classes: int = 4, seed: int = 0) -> nn.Module:
    """A random BERT classifier: 2 blocks, hidden 16, 24 neurons each, weights large enough to matter."""
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=MAX_LENGTH,
        initializer_range=0.4,
        num_labels=classes,
    )
    return _seeded(BertForSequenceClassification, config, seed)


def tiny_distilbert(*, classes: int = 4, seed: int = 0) -> nn.Module:
    """The same shape in another family, which has no segment ids and other names."""
    config = DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=16,
        n_layers=2,
        n_heads=2,
        hidden_dim=24,
        max_position_embeddings=MAX_LENGTH,
        initializer_range=0.4,
        num_labels=classes,
    )
    return _seeded(DistilBertForSequenceClassification, config, seed)


def tiny_examples(rows: int = 48, *, classes: int = 4, seed: int = 0) -> TokenExamples:
    """Random texts of 2 to 12 tokens; labels go round, so every class has its share."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, MAX_LENGTH + 1, size=rows)
    token_ids = [rng.integers(1, VOCABULARY, size=length).tolist() for length in lengths]
    return TokenExamples(token_ids, np.arange(rows, dtype=np.int64) % classes, pad_id=0, max_length=MAX_LENGTH)


def tiny_pixels(rows: int = 48, *, classes: int = 4, seed: int = 0) -> PixelExamples:
    """Random images of one channel and 8 x 8 pixels, which the tiny ViT sees as four patches."""
    pixels = np.random.default_rng(seed).standard_normal((rows, 1, IMAGE_SIDE, IMAGE_SIDE), dtype=np.float32)
    return PixelExamples(pixels, np.arange(rows, dtype=np.int64) % classes, patch=PATCH)


def tiny_model(family: str, *, classes: int = 4, blocks: int = 2, seed: int = 0) -> nn.Module:
    """A random classifier of any kind `KINDS`: 2 blocks, hidden 16, 24 neurons, 4 heads (llama, qwen2: in 2 groups)."""
    kind, config = KINDS[family]
    made = config(classes)
    if blocks != made.num_hidden_layers:
        made = type(made).from_dict(made.to_dict() | {"num_hidden_layers": blocks, "layer_types": None})
    return _seeded(kind, made, seed)


def examples_for(family: str, rows: int = 16) -> Examples:
    """Random examples that a tiny model of this kind reads."""
    return tiny_pixels(rows) if family == "vit" else tiny_examples(rows)


def _settings(classes: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 24,
        "initializer_range": 0.4,
        "num_labels": classes,
        **more,
    }


def _texts(classes: int, *, first_position: int = 0, **more: Any) -> dict[str, Any]:
    positions = MAX_LENGTH + first_position
    return _settings(classes, vocab_size=VOCABULARY, max_position_embeddings=positions, pad_token_id=0, **more)


_DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4}
_NO_SPECIAL = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None}

Kind = tuple[type[nn.Module], Callable[[int], PreTrainedConfig]]

KINDS: dict[str, Kind] = {
    "bert": (BertForSequenceClassification, lambda n: BertConfig(**_texts(n))),
    "roberta": (RobertaForSequenceClassification, lambda n: RobertaConfig(**_texts(n, first_position=2))),
    "xlm-roberta": (XLMRobertaForSequenceClassification, lambda n: XLMRobertaConfig(**_texts(n, first_position=2))),
    "electra": (ElectraForSequenceClassification, lambda n: ElectraConfig(**_texts(n, embedding_size=8))),
    "distilbert": (
        DistilBertForSequenceClassification,
        lambda n: DistilBertConfig(
            vocab_size=VOCABULARY,
            dim=16,
            n_layers=2,
            n_heads=4,
            hidden_dim=24,
            max_position_embeddings=MAX_LENGTH,
            initializer_range=0.4,
            num_labels=n,
        ),
    ),
    "albert": (AlbertForSequenceClassification, lambda n: AlbertConfig(**_texts(n, embedding_size=8))),
    "deberta-v2": (DebertaV2ForSequenceClassification, lambda n: DebertaV2Config(**_texts(n, **_DISENTANGLED))),
    "mpnet": (MPNetForSequenceClassification, lambda n: MPNetConfig(**_texts(n, first_position=2))),
    "modernbert": (ModernBertForSequenceClassification, lambda n: ModernBertConfig(**_texts(n, **_NO_SPECIAL))),
    "llama": (LlamaForSequenceClassification, lambda n: LlamaConfig(**_texts(n, num_key_value_heads=2))),
    "qwen2": (Qwen2ForSequenceClassification, lambda n: Qwen2Config(**_texts(n, num_key_value_heads=2))),
    "vit": (
        ViTForImageClassification,
        lambda n: ViTConfig(**_settings(n, image_size=IMAGE_SIDE, patch_size=PATCH, num_channels=1)),
    ),
}
"""The class of a tiny model and its config for a number of classes, by the config's model type."""


def _seeded(kind: type[nn.Module], config: PreTrainedConfig, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.1)
    return model
