"""A model is tried when it is opened: whether it answers, and, of no known family, what pads do to its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from app.domain.errors import UnsupportedModel
from worker.compute.batches import device_of, forward, pad
from worker.compute.examples import TokenExamples
from worker.sources.library_errors import POINTER, foreign

LENGTHS = (5, 9, 23)
"""Tokens of the texts that are tried, beside the longest that there may be."""

FAULT = "The model cannot be asked about texts"
TOLERANCE = 1e-4
"""Of the logits' own spread: far above what the order of sums makes in float32."""


def check_answers(model: Any, tokenizer: Any, classes: int) -> None:
    """Raise UnsupportedModel unless a short text gets one number for each class."""
    examples = draw_texts(model, tokenizer, LENGTHS[:1])
    with torch.inference_mode(), foreign(FAULT):
        found = _logits(model, examples, [0]).shape
    if found != (1, classes):
        raise UnsupportedModel(f"{FAULT}: it gives {list(found)} in place of {[1, classes]}.", pointer=POINTER)


def answers_alone(model: Any, tokenizer: Any, max_length: int) -> bool:
    """Whether the model answers a text alone as beside a longer one, which it stands padded to.

    Raises UnsupportedModel, with the library's words, for a model that cannot be asked about texts up to its longest.
    """
    lengths = sorted({*(min(length, max_length) for length in LENGTHS), min(max_length, 512)})
    examples = draw_texts(model, tokenizer, lengths)
    with torch.inference_mode(), foreign(FAULT):
        alone = np.concatenate([_logits(model, examples, [row]) for row in range(len(examples))])
    if not np.isfinite(alone).all():
        return True
    try:
        with torch.inference_mode():
            beside = _logits(model, examples, list(range(len(examples))))
    except (RuntimeError, ValueError, IndexError, NotImplementedError):
        return False
    return bool(np.abs(alone - beside).max() <= TOLERANCE * max(float(np.abs(alone).max()), 1e-3))


def draw_texts(model: Any, tokenizer: Any, lengths: Sequence[int]) -> TokenExamples:
    """Texts of these lengths, of tokens as a seed draws them, between the tokenizer's own first and last."""
    with foreign("The model's tokenizer cannot read texts"):
        around = tokenizer("a")["input_ids"]
    special = [token for token in around if token in set(tokenizer.all_special_ids)]
    usual = [token for token in tokenizer.get_vocab().values() if token not in set(tokenizer.all_special_ids)]
    rng = np.random.default_rng(0)
    first = special[:1] if special and around[0] == special[0] else []
    last = special[-1:] if special and around[-1] == special[-1] else []
    ids = [
        [*first, *rng.choice(sorted(usual), max(length - len(first) - len(last), 1)).tolist(), *last]
        for length in lengths
    ]
    pad_id = getattr(model.config, "pad_token_id", None)
    known = tokenizer.pad_token_id if pad_id is None else pad_id
    return TokenExamples(ids, np.zeros(len(ids), dtype=np.int64), pad_id=known or 0, max_length=max(lengths))


def _logits(model: Any, examples: TokenExamples, rows: list[int]) -> Any:
    places = np.array(rows)
    batch = pad(examples, places, int(examples.lengths(places).max()), device_of(model))
    return forward(model, batch).logits.float().cpu().numpy()
