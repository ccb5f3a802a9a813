"""A model's linear layers from the names and shapes of its tensors, in the order of the model's module tree."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A 2-D `.weight` is a linear layer's [out, in], unless its owner is a lookup table.
_TABLE = re.compile(r"(.*_)?embeddings?|embed_.*|wte|wpe|shared|relative_attention_bias")

# Siblings in the order in which architectures define them; a header lists them by name instead.
_SIBLINGS = (
    *("embeddings", "embeddings_project", "encoder", "transformer"),
    *("attention", "crossattention", "intermediate", "ffn"),
    *("self", "query", "q_lin", "key", "k_lin", "value", "v_lin", "out_lin"),
    *("lin1", "lin2", "output", "pooler"),
    *("pre_classifier", "classifier", "dense", "out_proj"),
)
_RANK = {name: rank for rank, name in enumerate(_SIBLINGS)}


def linear_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, int]]:
    """Dotted name to [out, in] of every linear layer, as a walk of the loaded model would meet them."""
    found = {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2
    }
    linear = [name for name in found if not _TABLE.fullmatch(name.rpartition(".")[2])]
    return {name: found[name] for name in sorted(linear, key=_position)}


def _position(name: str) -> list[tuple[int, int, str]]:
    """Sorts siblings by definition, blocks by number, and what is not known (the base model's prefix) first."""
    return [(_RANK.get(part, -1), int(part) if part.isdecimal() else 0, part) for part in name.split(".")]
