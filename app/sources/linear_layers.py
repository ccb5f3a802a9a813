"""A model's linear layers from the names and shapes of its tensors, in the order of the model's module tree."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.domain.families import Family

# A 2-D `.weight` is a linear layer's [out, in], unless its owner is a lookup table.
_TABLE = re.compile(r"(.*_)?embeddings?|embed_.*|wte|wpe|shared|relative_attention_bias")

# Siblings in the order in which architectures define them; a header lists them by name instead.
_SIBLINGS = (
    *("embeddings", "embeddings_project", "embedding_hidden_mapping_in", "albert_layer_groups"),
    *("encoder", "transformer", "layers", "head"),
    *("attention", "self_attn", "attn", "crossattention", "intermediate", "ffn", "ffn_output", "mlp"),
    *("self", "query", "query_proj", "q_lin", "q_proj", "q", "key", "key_proj", "k_lin", "k_proj", "k"),
    *("value", "value_proj", "v_lin", "v_proj", "v", "pos_key_proj", "pos_query_proj", "Wqkv"),
    *("out_lin", "o_proj", "o", "gate_proj", "up_proj", "down_proj", "Wi", "Wo", "fc1", "fc2"),
    *("lin1", "lin2", "output", "pooler"),
    *("pre_classifier", "classifier", "score", "dense", "out_proj"),
)
_RANK = {name: rank for rank, name in enumerate(_SIBLINGS)}


def linear_shapes(shapes: Mapping[str, tuple[int, ...]], family: Family | None = None) -> dict[str, tuple[int, int]]:
    """Dotted name to [out, in] of every linear layer, as a walk of the loaded model would meet them.

    Files of some families keep older names; given the family, the answer has the live model's.
    """
    by_name = {
        (family.live_name(name) if family else name).removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2
    }
    linear = [name for name in by_name if not _TABLE.fullmatch(name.rpartition(".")[2])]
    first = family.classifier.partition(".")[0] if family and family.classifier_first else None
    return {
        name: by_name[name] for name in sorted(linear, key=lambda name: (name.split(".")[0] != first, _position(name)))
    }


def _position(name: str) -> list[tuple[int, int, str]]:
    """Sorts siblings by definition, blocks by number, and what is not known (the base model's prefix) first."""
    return [(_RANK.get(part, -1), int(part) if part.isdecimal() else 0, part) for part in name.split(".")]
