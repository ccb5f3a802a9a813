"""The vocabulary that modules read with: all of their base's, or what is left of it.

What is left is a tokenizer of fewer tokens (`trimmed_tokenizer`) and an embedding of fewer rows.
"""

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
from worker.packaging.trimmed_tokenizer import POINTER, document_of, trim, write
from worker.sources.models import LoadedModel

FOLDER = "vocabulary"


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that modules of a base read with; `loaded` is the base as it reads with them."""

    loaded: LoadedModel
    kept: tuple[int, ...] | None = None
    """Ids of the base, ascending; a token's new id is its place. None where nothing is trimmed."""

    @classmethod
    def of(cls, base: LoadedModel, kept: Sequence[int] | None, scratch: Path) -> Vocabulary:
        """The tokens `kept` of a base alone, or all of them. A trimmed tokenizer is written below `scratch`.

        Raises UnsupportedModel for what is not known to survive it.
        """
        if kept is None:
            return cls(base)
        new = {old: new_id for new_id, old in enumerate(kept)}
        _check_pads(base.model, new)
        folder = scratch / FOLDER
        folder.mkdir()
        write(folder, base.folder, trim(document_of(base.tokenizer), kept), new)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        small = _narrow(base.model, kept)
        return cls(replace(base, model=small, tokenizer=tokenizer, folder=folder), tuple(kept))

    def narrow(self, module: nn.Module) -> nn.Module:
        """A module of the base as it reads with these tokens; it shares all tensors but its embedding with it."""
        return module if self.kept is None else _narrow(module, self.kept)


def token_ids(model: Any) -> dict[str, int]:
    """The ids that a config names."""
    values = model.config.to_dict()
    return {name: value for name, value in values.items() if name.endswith("_token_id") and isinstance(value, int)}


def _narrow(model: nn.Module, kept: Sequence[int]) -> nn.Module:
    """A copy of the model with these rows of its embedding, whose config names the new ids."""
    small = sharing_copy(model)
    new = {old: new_id for new_id, old in enumerate(kept)}
    whole, config = small.get_input_embeddings(), small.config
    rows = torch.tensor(kept, device=whole.weight.device)
    padding = None if whole.padding_idx is None else new[whole.padding_idx]
    weights = whole.weight.detach()[rows]
    small.set_input_embeddings(nn.Embedding.from_pretrained(weights, padding_idx=padding))  # type: ignore[no-untyped-call]
    for name, old in token_ids(model).items():
        setattr(config, name, new[old])
    config.vocab_size = len(kept)
    return cast("nn.Module", small)


def _check_pads(model: Any, new: dict[int, int]) -> None:
    """Encoders of RoBERTa's kind count positions from the pad's id, which must not move."""
    pad = getattr(model.config, "pad_token_id", None)
    if pad is not None and new[pad] != pad and not isinstance(model, GenericForSequenceClassification):
        raise UnsupportedModel(
            "The vocabulary cannot be trimmed: the id of this model's pads would change.",
            hint="Leave `export.vocabulary` out.",
            pointer=POINTER,
        )
