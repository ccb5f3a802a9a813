import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.evaluation.report import cross_entropy, exp_loss, report, score

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


@settings(max_examples=20, deadline=None)
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
