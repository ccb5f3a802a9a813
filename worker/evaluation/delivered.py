"""The scores of what is handed out, where it answers otherwise than the module that was measured: with two answers,

with fewer tokens, or with rounded weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microlith.contract import DeliveredScore
from worker.compute.arrays import Logits, Truth
from worker.evaluation.binary import CONCERN, Members
from worker.evaluation.meaning import SINGLE_LABEL, Meaning
from worker.evaluation.report import f1_interval, score


def score_answers(
    logits: Logits, truth: Truth, label_names: Sequence[str], concern: int, meaning: Meaning = SINGLE_LABEL
) -> DeliveredScore:
    """Of logits [rows, classes] over all classes."""
    measured = score(logits, truth, label_names, meaning)
    own = measured.classes[concern].model_dump(exclude={"id", "label", "threshold"})
    overall = {name: getattr(measured, name) for name in ("macro", "micro", "accuracy", "loss")}
    return DeliveredScore(**own, **overall)


def score_binary_answers(logits: Logits, members: Members) -> DeliveredScore:
    """Of logits [rows, 2] of a binary head, and the rows that are of its concern."""
    return score_decisions(logits.argmax(axis=1) == CONCERN, members)


def score_decisions(given: Members, members: Members) -> DeliveredScore:
    """Of who was taken for a member [rows] and who is one; precision, recall and F1 are 0 where undefined."""
    right, taken, support = int((given & members).sum()), int(given.sum()), int(members.sum())
    touched = taken + support - right
    return DeliveredScore(
        precision=right / taken if taken else 0.0,
        recall=right / support if support else 0.0,
        f1=2 * right / (taken + support) if taken + support else 0.0,
        support=support,
        f1_interval=f1_interval(right, touched),
        accuracy=float(np.mean(given == members)),
    )
