"""Runs a model over examples: every example once, pads left out, logits in row order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from app.domain.errors import UnsupportedModel
from worker.inputs import TOKEN_BUDGET, Batch, Checkpoint, Examples, device_of, forward, run_batches, unwatched

Logits = npt.NDArray[np.float32]


def predict(
    model: nn.Module, examples: Examples, *, token_budget: int = TOKEN_BUDGET, checkpoint: Checkpoint = unwatched
) -> Logits:
    """Logits [rows, classes] in the order of the examples; the model is left in eval mode.

    `checkpoint` hears the rows done after each batch and may raise. Raises UnsupportedModel when a logit is not finite.
    """
    model.eval()
    logits = np.empty((0, 0), np.float32)
    done = 0

    def ask(batch: Batch) -> Logits:
        answers: Logits = forward(model, batch).logits.float().cpu().numpy()  # [b, classes]
        return answers

    with torch.inference_mode():
        for batch, answers in run_batches(ask, examples, token_budget=token_budget, device=device_of(model)):
            if not logits.size:
                logits = np.empty((len(examples), answers.shape[1]), np.float32)
            logits[batch.rows] = answers
            done += len(batch)
            checkpoint(done)
    if not np.isfinite(logits).all():
        raise UnsupportedModel("The model answers with numbers that are not finite.")
    return logits


def evenly(rows: int, limit: int | None) -> npt.NDArray[np.int64]:
    """At most `limit` of `rows` row indices (None: all), ascending and spread evenly from the first row on."""
    if limit is None or limit >= rows:
        return np.arange(rows, dtype=np.int64)
    return np.arange(limit, dtype=np.int64) * rows // limit
