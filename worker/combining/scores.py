"""What each part says of its concern: one score per example, from one run of each different model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from worker.combining.parts import ModulePart
from worker.compute.arrays import Logits
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.evaluation.runner import predict

ConcernScores = npt.NDArray[np.float64]

Places = npt.NDArray[np.int64]
"""The place of each row's label among those that are told apart [rows]."""


def log_odds(logits: npt.NDArray[np.floating[Any]], place: int) -> ConcernScores:
    """log p / (1 − p) of the class at `place`, p its softmax probability [rows]: its logit less the others' logsumexp.

    Unlike the margin to the others' mean, zero means the same in every model, whatever its number of classes; of a
    binary head it is the difference of the two logits.
    """
    values = logits.astype(np.float64)
    scores: ConcernScores = values[:, place] - logsumexp(np.delete(values, place, axis=1), axis=1)
    return scores


def scores_of(
    parts: Sequence[ModulePart], inputs: Sequence[Any], *, checkpoint: Checkpoint = unwatched
) -> ConcernScores:
    """Each part's log-odds of its concern [rows, parts].

    A model that several parts share runs once. `checkpoint` hears the rows done, up to `rows_of` the parts.
    """
    scores = np.empty((len(inputs), len(parts)))
    encoded: dict[int, Examples] = {}
    answers: dict[tuple[int, str], Logits] = {}
    for column, part in enumerate(parts):
        if part.voice not in answers:
            if id(part.origin) not in encoded:
                encoded[id(part.origin)] = part.origin.encoder(inputs)
            examples = encoded[id(part.origin)]
            done = len(answers) * len(inputs)
            with part.opened() as module:
                answers[part.voice] = predict(module, examples, checkpoint=_after(checkpoint, done))
        scores[:, column] = log_odds(answers[part.voice], part.place)
    return scores


def voices(parts: Sequence[ModulePart]) -> int:
    """How many different models the parts are: each runs over every example once."""
    return len({part.voice for part in parts})


def _after(checkpoint: Checkpoint, done: int) -> Checkpoint:
    return lambda rows: checkpoint(done + rows)
