"""The arithmetic of a BERT classifier on texts without any padding, counted from its configuration."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.speed.machine import matmul_rate
from benchmarks.speed.ours import tokens_of
from worker.compute.batches import budget_on
from worker.sources.open_sources import Sources


def forward_flops(config: Any, lengths: np.ndarray) -> float:
    """FLOPs of one forward pass over texts of `lengths` tokens, a multiplication and an addition counted as two.

    Per layer and token: four h × h products, two of h × f, and attention with the text's own t tokens, 4 t h. Per text:
    the pooler and the classifier. Embeddings, normalisation and activations are not counted.
    """
    h, f = config.hidden_size, config.intermediate_size
    tokens = lengths.astype(np.float64)
    layer = tokens * (8 * h * h + 4 * h * f) + 4 * tokens**2 * h
    return float(config.num_hidden_layers * layer.sum() + len(tokens) * (2 * h * h + 2 * h * config.num_labels))


def evaluation_flops(sources: Sources, modules: int) -> float:
    """FLOPs of the base and of every module on the test and the validation split, nothing shared between them."""
    lengths = np.concatenate([tokens_of(sources, role) for role in ("test", "validation")])
    return (1 + modules) * forward_flops(sources.model.model.config, lengths)


def layer_rate(config: Any, device: str = "cpu") -> float:
    """FLOP/s of this machine at the shapes of the model's own layers, in the proportions that it uses them."""
    h, f = config.hidden_size, config.intermediate_size
    shares = {(h, h): 8 * h * h, (h, f): 2 * h * f, (f, h): 2 * h * f}
    seconds = sum(flops / matmul_rate(budget_on(device), *shape, device) for shape, flops in shares.items())
    return sum(shares.values()) / seconds
