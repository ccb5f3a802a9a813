"""A model that reads with what is left of its vocabulary: a tokenizer of fewer tokens, an embedding of fewer rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoTokenizer
from transformers.modeling_layers import GenericForSequenceClassification

from app.domain.errors import UnsupportedModel
from worker.compute.model_edits import sharing_copy
from worker.packaging import vocabulary
from worker.packaging.vocabulary import POINTER
from worker.sources.models import LoadedModel

FOLDER = "vocabulary"


@dataclass(frozen=True)
class Trimmed:
    """What is left of a model's vocabulary; `loaded` is the model with it, and its tokenizer as it was written."""

    kept: tuple[int, ...]
    """Ids of the base, ascending; a token's new id is its place."""
    loaded: LoadedModel

    @classmethod
    def of(cls, loaded: LoadedModel, kept: Sequence[int], scratch: Path) -> Trimmed:
        """The tokens `kept` alone. Raises UnsupportedModel for what is not known to survive it."""
        new = {old: place for place, old in enumerate(kept)}
        _check_pads(loaded.model, new)
        folder = scratch / FOLDER
        folder.mkdir()
        document = vocabulary.trimmed(vocabulary.document_of(loaded.tokenizer), kept)
        vocabulary.write(folder, loaded.folder, document, new)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        small = narrowed(loaded.model, kept)
        return cls(tuple(kept), replace(loaded, model=small, tokenizer=tokenizer, folder=folder))

    def narrowed(self, module: nn.Module) -> nn.Module:
        """A module of the whole model, reading with what is left; it shares all other tensors with it."""
        return narrowed(module, self.kept)


def narrowed(model: nn.Module, kept: Sequence[int]) -> nn.Module:
    """A copy of the model with these rows of its embedding, whose config names the new ids."""
    small = sharing_copy(model)
    new = {old: place for place, old in enumerate(kept)}
    whole, config = small.get_input_embeddings(), small.config
    rows = torch.tensor(kept, device=whole.weight.device)
    padding = None if whole.padding_idx is None else new[whole.padding_idx]
    weights = whole.weight.detach()[rows]
    small.set_input_embeddings(nn.Embedding.from_pretrained(weights, padding_idx=padding))  # type: ignore[no-untyped-call]
    for name, old in token_ids(model).items():
        setattr(config, name, new[old])
    config.vocab_size = len(kept)
    return cast("nn.Module", small)


def token_ids(model: Any) -> dict[str, int]:
    """The ids that a config names."""
    values = model.config.to_dict()
    return {name: value for name, value in values.items() if name.endswith("_token_id") and isinstance(value, int)}


def _check_pads(model: Any, new: dict[int, int]) -> None:
    """Encoders of RoBERTa's kind count positions from the pad's id, which must not move."""
    pad = getattr(model.config, "pad_token_id", None)
    if pad is not None and new[pad] != pad and not isinstance(model, GenericForSequenceClassification):
        raise UnsupportedModel(
            "The vocabulary cannot be trimmed: the id of this model's pads would change.",
            hint="Leave `export.vocabulary` out.",
            pointer=POINTER,
        )
