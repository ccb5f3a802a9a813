"""Pairs of texts: whether a model can read two texts at once, and whether it is told which of them a token is of."""

from __future__ import annotations

import inspect
from typing import Any

from app.domain.errors import UnsupportedModel
from worker.compute.examples import SEGMENTS, tokenise

POINTER = "/dataset/text_pair_column"


def reads_segments(model: Any, tokenizer: Any) -> bool:
    """Whether the tokenizer tells token types that make a difference to the model."""
    told = SEGMENTS in tokenizer.model_input_names and SEGMENTS in inspect.signature(model.forward).parameters
    return bool(told and getattr(model.config, "type_vocab_size", None) != 0)


def check_pairs(model: Any, tokenizer: Any, max_length: int) -> None:
    """Raise UnsupportedModel for a model with no room for two texts, or for the token types of two."""
    if tokenizer is None:
        raise UnsupportedModel("The model reads images, not pairs of texts.", pointer=POINTER)
    around = tokenizer.num_special_tokens_to_add(pair=True)
    if around + 2 > max_length:
        raise UnsupportedModel(
            f"The model reads {max_length} tokens at most: too few for two texts and {around} around them.",
            hint="Leave `text_pair_column` out, or take a model of longer inputs.",
            pointer=POINTER,
        )
    if not reads_segments(model, tokenizer):
        return
    known = getattr(model.config, "type_vocab_size", None)
    told = tokenise([("a", "a")], tokenizer, max_length, segments=True).segments or [[0]]
    if known is not None and max(told[0]) >= known:
        raise UnsupportedModel(
            f"The tokenizer gives the second text of a pair the token type {max(told[0])}, and the model knows {known} "
            "of them.",
            hint="Save the tokenizer that the model was fine-tuned with, or leave `text_pair_column` out.",
            pointer=POINTER,
        )
