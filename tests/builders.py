"""Tiny seeded models and examples: the engine's real shapes, at a size that costs nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedConfig,
)

from worker.inputs import Examples

torch.set_num_threads(1)

VOCABULARY = 40
MAX_LENGTH = 12


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


def tiny_examples(rows: int = 48, *, classes: int = 4, seed: int = 0) -> Examples:
    """Random texts of 2 to 12 tokens; labels go round, so every class has its share."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, MAX_LENGTH + 1, size=rows)
    token_ids = [rng.integers(1, VOCABULARY, size=length).tolist() for length in lengths]
    return Examples(token_ids, np.arange(rows, dtype=np.int64) % classes, pad_id=0, max_length=MAX_LENGTH)


def _seeded(kind: type[nn.Module], config: PreTrainedConfig, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.1)
    return model
