"""A module's head as concern against rest, and how well it decides.

The classifier's rows become two: the concern's own and the mean of the others', so that the answer is a difference of
two logits that any transformers pipeline can read. Labels that do not exclude one another say nothing of each other:
then the other row is zero. The threshold on the difference is the one with the best F1 on validation data; where the
classifier has a bias it is folded in, so that the ordinary argmax decides by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import precision_recall_curve, precision_recall_fscore_support, roc_auc_score
from torch import nn

from app.domain.errors import UnsupportedModel
from microlith.contract import BinaryScore
from worker.compute.model_edits import with_head
from worker.families.layers import linear

MemberScores = npt.NDArray[np.float64]
Members = npt.NDArray[np.bool_]

CONCERN = 1
"""The row of the concern; the rest is row 0."""


@dataclass(frozen=True)
class BinaryHead:
    """Where a model's classifier is, which of its classes is the concern, and whether inputs have several."""

    classifier: str
    concern: int
    label: str
    multi_label: bool = False


def margins(logits: npt.NDArray[np.floating], concern: int) -> MemberScores:
    """The concern's logit less the mean of the others' [rows]: what the two-row head answers by."""
    values = logits.astype(np.float64)
    rest = (values.sum(axis=1) - values[:, concern]) / (values.shape[1] - 1)
    margin: MemberScores = values[:, concern] - rest
    return margin


def best_threshold(scores: MemberScores, members: Members) -> float:
    """The threshold with the highest F1 of `score >= threshold`; 0 where one side has no example.

    It lies half-way to the next lower score, so that rounding does not decide.
    """
    if members.all() or not members.any():
        return 0.0
    precision, recall, thresholds = precision_recall_curve(members, scores)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)[:-1]
    chosen = float(thresholds[int(f1.argmax())])
    below = scores[scores < chosen]
    return chosen if not below.size else (chosen + float(below.max())) / 2


def measure(scores: MemberScores, members: Members, threshold: float) -> BinaryScore:
    """Precision, recall and F1 of `score >= threshold`, 0 where undefined; AUROC is 0.5 where one side is empty."""
    precision, recall, f1, _ = precision_recall_fscore_support(
        members, scores >= threshold, average="binary", zero_division=0
    )
    one_sided = members.all() or not members.any()
    auroc = 0.5 if one_sided else float(roc_auc_score(members, scores))
    return BinaryScore(threshold=threshold, precision=float(precision), recall=float(recall), f1=float(f1), auroc=auroc)


def with_binary_head(model: nn.Module, head: BinaryHead, threshold: float) -> nn.Module:
    """A new model that answers `rest` or the concern; it shares every tensor but the head's with `model`.

    Raises UnsupportedModel where the classifier has no bias to fold the threshold into.
    """
    classifier = linear(model, head.classifier)
    if classifier.bias is None:
        raise UnsupportedModel(
            f"{head.classifier} has no bias, so a binary head cannot carry its threshold.",
            hint="Use `head: multiclass`; this architecture's modules keep every class.",
            pointer="/head",
        )
    weight = _two_rows(classifier.weight, head)
    bias = _two_rows(classifier.bias.unsqueeze(1), head).squeeze(1)
    bias[CONCERN] -= threshold
    binary = with_head(model, head.classifier, weight, bias, ["rest", head.label])
    if head.multi_label:
        binary.config.problem_type = "single_label_classification"
    made: nn.Module = binary
    return made


def _two_rows(rows: torch.Tensor, head: BinaryHead) -> torch.Tensor:
    """[classes, n] to [2, n]: the mean of the others, or zero, then the concern's own; float64 in between."""
    values = rows.detach().double()
    own = values[head.concern]
    rest = torch.zeros_like(own) if head.multi_label else (values.sum(0) - own) / (len(values) - 1)
    return torch.stack([rest, own]).to(rows.dtype)
