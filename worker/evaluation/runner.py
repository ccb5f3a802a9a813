"""Runs a model over examples: every example once, pads left out, logits in row order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from worker.compute.arrays import Logits
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.evaluation.shared_batches import Course


def predict(
    model: nn.Module, examples: Examples, *, token_budget: int | None = None, checkpoint: Checkpoint = unwatched
) -> Logits:
    """The logits of one model that is asked once: see `Course.predict`."""
    return Course(examples, token_budget=token_budget, room=0).predict(model, checkpoint)


def evenly(rows: int, limit: int | None) -> npt.NDArray[np.int64]:
    """At most `limit` of `rows` row indices (None: all), ascending and spread evenly from the first row on."""
    if limit is None or limit >= rows:
        return np.arange(rows, dtype=np.int64)
    return np.arange(limit, dtype=np.int64) * rows // limit
