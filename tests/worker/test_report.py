import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.evaluation.meaning import cross_entropy
from worker.evaluation.report import MOST_CONFUSED, exp_loss, f1_interval, report, score

NAMES = ["cat", "dog", "eel", "fox"]


def logits_for(predictions, classes=4):
    return np.eye(classes, dtype=np.float32)[predictions] * 2


def test_measures_follow_their_definitions_over_all_classes_even_without_support():
    labels = np.array([0, 0, 0, 1, 1, 2])
    measured = score(logits_for([0, 0, 1, 1, 2, 2]), labels, NAMES)
    cat, dog, eel, fox = measured.classes
    assert (cat.precision, cat.recall, cat.f1, cat.support) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert (dog.precision, dog.recall, dog.f1, dog.support) == pytest.approx((0.5, 0.5, 0.5, 2))
    assert (eel.precision, eel.recall, eel.f1, eel.support) == pytest.approx((0.5, 1.0, 2 / 3, 1))
    assert (fox.precision, fox.recall, fox.f1, fox.support) == (0.0, 0.0, 0.0, 0)
    assert [row.label for row in measured.classes] == NAMES
    assert measured.macro.f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 4)
    assert measured.accuracy == pytest.approx(4 / 6)
    assert measured.loss == pytest.approx((4 * math.log(math.e**2 + 3) + 2 * math.log(math.e**2 + 3) - 4 * 2) / 6)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 1e3, 1e30]))
def test_the_loss_is_the_mean_cross_entropy_and_finite(seed, scale):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(7, 4)) * scale).astype(np.float32)
    labels = rng.integers(0, 4, 7)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels)).item()
    assert cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-12)
    assert math.isfinite(exp_loss(logits, labels))


def test_exp_loss_of_a_model_that_knows_nothing_is_the_number_of_classes():
    assert exp_loss(np.zeros((5, 4), np.float32), np.array([0, 1, 2, 3, 0])) == pytest.approx(4.0)


def test_the_report_joins_the_score_with_the_validation_split():
    measured = score(logits_for([0, 1]), np.array([0, 1]), NAMES)
    joined = report(measured, 1.5)
    assert (joined.exp_loss, joined.loss, joined.accuracy) == (1.5, measured.loss, 1.0)
    assert joined.classes == list(measured.classes)


def test_confusion_counts_true_classes_by_the_class_they_were_given():
    labels = np.array([0, 0, 0, 1, 1, 2])
    measured = score(logits_for([0, 0, 1, 1, 2, 2]), labels, NAMES)
    assert measured.confusion == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_model_of_very_many_classes_has_no_confusion_matrix():
    classes = MOST_CONFUSED + 1
    measured = score(logits_for([0, 1], classes), np.array([0, 1]), [str(i) for i in range(classes)])
    assert measured.confusion is None
    assert len(measured.classes) == classes


def test_an_interval_of_f1_holds_it_and_narrows_with_more_examples():
    wide, narrow = f1_interval(8, 10), f1_interval(800, 1000)
    for low, high in (wide, narrow):
        assert low < 2 * 0.8 / 1.8 < high
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 5
    assert f1_interval(0, 5)[0] == 0.0
    assert f1_interval(5, 5)[1] == pytest.approx(1.0)
    assert f1_interval(0, 0) is None


def test_intervals_of_f1_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        low, high = f1_interval(int(rng.binomial(60, 0.7)), 60)
        held += low <= 2 * 0.7 / 1.7 <= high
    assert 0.92 <= held / 400 <= 0.98
