"""What logits mean, of a single-label classifier and of a multi-label one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from torch.nn import functional as F

from worker.evaluation.binary import best_threshold
from worker.evaluation.meaning import (
    SINGLE_LABEL,
    TOGETHER,
    MultiLabel,
    agreement,
    binary_cross_entropy,
    meaning_of,
)
from worker.evaluation.report import exp_loss, report, score
from worker.pruning.backward import summed_loss

NAMES = ["joy", "anger", "fear"]


def drawn(rows: int = 400, seed: int = 0, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [rows, 3] and labels that they tell something of; the third is rare."""
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(rows, 3)) - [0.0, 1.0, 3.0]).astype(np.float32)
    return logits, logits + rng.normal(size=(rows, 3)) > 0


def test_agreement_is_the_share_of_rows_that_are_answered_alike() -> None:
    base, said = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]), SINGLE_LABEL.answers
    assert agreement(said(base), said(base)) == 1.0
    assert agreement(said(base), said(base[:, ::-1])) == 0.0
    assert agreement(said(base), said(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]]))) == pytest.approx(2 / 3)


def test_rows_of_several_labels_agree_where_all_of_them_do() -> None:
    said = MultiLabel([0.0, 0.5]).answers
    base, module = np.array([[1.0, 1.0], [1.0, 0.0], [-1.0, 0.4]]), np.array([[1.0, 1.0], [1.0, 1.0], [-2.0, 0.0]])
    assert agreement(said(base), said(module)) == pytest.approx(2 / 3)


def test_divergence_is_the_mean_kl_in_nats() -> None:
    base, module = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert SINGLE_LABEL.divergence(base, module) == pytest.approx(expected)
    assert SINGLE_LABEL.divergence(base, base + 3.0) == pytest.approx(0.0, abs=1e-12)
    assert SINGLE_LABEL.divergence(base, module) != pytest.approx(SINGLE_LABEL.divergence(module, base))


def test_divergence_of_several_labels_adds_up_each_labels_own() -> None:
    def logit(p: float) -> float:
        return float(np.log(p / (1 - p)))

    base, module = np.array([[logit(0.5), logit(0.2)]]), np.array([[logit(0.9), logit(0.2)]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert MultiLabel().divergence(base, module) == pytest.approx(expected)
    assert MultiLabel().divergence(base, base) == 0.0
    assert np.isfinite(MultiLabel().divergence(np.array([[1e4, -1e4]]), np.array([[-1e4, 1e4]])))


@pytest.mark.parametrize("scale", [1e-3, 2.0, 1e3, 1e30])
def test_the_loss_of_several_labels_is_that_of_torch_and_finite(scale: float) -> None:
    logits, has = drawn(TOGETHER + 3, scale=scale)
    given, truth = torch.from_numpy(logits).double(), torch.from_numpy(has)
    expected = F.binary_cross_entropy_with_logits(given, truth.double()).item()
    assert binary_cross_entropy(logits, has) == pytest.approx(expected, rel=1e-9)
    assert np.isfinite(exp_loss(logits, has, MultiLabel()))
    assert summed_loss(given, truth).item() == pytest.approx(expected * len(has), rel=1e-9)


def test_exp_loss_of_a_model_that_knows_nothing_of_its_labels_is_two() -> None:
    assert exp_loss(np.zeros((5, 3), np.float32), drawn(5)[1], MultiLabel()) == pytest.approx(2.0)


def test_thresholds_are_those_of_best_f1_on_the_validation_data() -> None:
    logits, has = drawn()
    chosen = MultiLabel().calibrated(logits, has)
    assert chosen.thresholds == [best_threshold(logits[:, i].astype(np.float64), has[:, i]) for i in range(3)]
    best, plain = (f1_score(has, said.answers(logits), average=None) for said in (chosen, MultiLabel()))
    assert (best >= plain).all()
    assert best[2] > plain[2] + 0.01, "the rare label has a threshold of its own"


def test_a_label_that_no_row_of_the_validation_data_has_is_given_from_one_half_on() -> None:
    logits, has = drawn()
    has[:, 1] = False
    thresholds = MultiLabel().calibrated(logits, has).thresholds
    assert thresholds is not None
    assert thresholds[1] == 0.0
    assert MultiLabel().answers(logits).tolist() == (MultiLabel().probabilities(logits) >= 0.5).tolist()


def test_measures_of_several_labels_are_those_of_scikit_learn() -> None:
    logits, has = drawn()
    meaning = MultiLabel([0.5, -0.25, -2.0])
    said = logits >= np.array([0.5, -0.25, -2.0])
    measured = score(logits, has, NAMES, meaning)
    rows = np.array([(row.precision, row.recall, row.f1, row.support) for row in measured.classes])
    np.testing.assert_allclose(rows.T, precision_recall_fscore_support(has, said))
    assert measured.macro.f1 == pytest.approx(f1_score(has, said, average="macro"))
    assert measured.micro is not None
    assert measured.micro.f1 == pytest.approx(f1_score(has, said, average="micro"))
    assert measured.accuracy == pytest.approx(accuracy_score(has, said))
    assert (measured.examples, measured.confusion) == (400, None)
    assert [row.threshold for row in measured.classes] == [0.5, -0.25, -2.0]
    for row in measured.classes:
        assert row.f1_interval is not None
        assert row.f1_interval[0] < row.f1 < row.f1_interval[1]


def test_a_report_says_what_the_logits_of_its_model_mean() -> None:
    logits, has = drawn()
    several = report(score(logits, has, NAMES, MultiLabel([0.5, -0.25, 0.0])), 1.5)
    assert meaning_of(several) == MultiLabel([0.5, -0.25, 0.0])
    one = report(score(logits, has.argmax(axis=1), NAMES), 1.5)
    assert meaning_of(one) is SINGLE_LABEL
    assert (one.micro, one.examples) == (None, 400)


def test_the_margin_of_a_label_is_its_own_logit() -> None:
    logits, has = drawn()
    np.testing.assert_array_equal(MultiLabel().margins(logits, 1), logits[:, 1].astype(np.float64))
    np.testing.assert_array_equal(MultiLabel().members(has, 1), has[:, 1])
