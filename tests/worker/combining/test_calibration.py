from __future__ import annotations

import numpy as np
import pytest

from worker.combining.calibration import calibrate, cross_validated
from worker.combining.scores import log_odds

SCALINGS = ["joint", "platt", "temperature", "none"]


def drawn(rows: int = 2000, *, seed: int = 0):
    """Log-odds that a logistic model is true of: P(label k) grows with score k; each then put on a scale of its own."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, 3)) * 2
    odds = np.exp(scores)
    labels = (odds.cumsum(1) / odds.sum(1, keepdims=True) > rng.random((rows, 1))).argmax(1)
    return scores, labels


@pytest.mark.parametrize("scaling", SCALINGS)
def test_no_line_falls_even_for_a_module_that_is_always_wrong(scaling):
    scores, labels = drawn()
    scores[:, 1] *= -1
    assert (calibrate(scores, labels, scaling).slopes >= 0).all()


def test_joint_lines_undo_what_a_modules_own_scale_and_offset_did():
    scores, labels = drawn(20_000)
    bent = scores * [0.2, 1.0, 5.0] + [3.0, 0.0, -1.0]
    mended = calibrate(bent, labels, "joint")
    np.testing.assert_allclose(mended.slopes * [0.2, 1.0, 5.0], 1.0, atol=0.08)
    offsets = mended.slopes * [3.0, 0.0, -1.0] + mended.intercepts
    np.testing.assert_allclose(offsets - offsets.mean(), 0.0, atol=0.1)


def test_platt_makes_log_odds_whose_probabilities_come_true():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(20_000, 2))
    labels = (rng.random(20_000) > 1 / (1 + np.exp(-(3 * scores[:, 0] - 1)))).astype(np.int64)
    line = calibrate(scores, labels, "platt")
    assert line.slopes[0] == pytest.approx(3, abs=0.15)
    assert line.intercepts[0] == pytest.approx(-1, abs=0.1)


def test_a_temperature_has_no_intercept_and_none_changes_nothing():
    scores, labels = drawn()
    assert (calibrate(scores, labels, "temperature").intercepts == 0).all()
    np.testing.assert_array_equal(calibrate(scores, labels, "none")(scores), scores)


def test_cross_validation_prefers_the_calibration_that_the_data_need():
    scores, labels = drawn(3000)
    found = cross_validated(scores * [0.2, 1.0, 5.0] + [3.0, 0.0, -1.0], labels)
    assert set(found) == set(SCALINGS)
    assert found["joint"] > found["none"] + 0.1


def test_a_label_with_one_example_cannot_be_cross_validated():
    assert cross_validated(np.zeros((5, 2)), np.array([0, 0, 0, 0, 1])) == {}


def test_log_odds_are_those_of_the_softmax_however_large_the_logits():
    logits = np.array([[2.0, 1.0, -1.0], [1000.0, 0.0, -1000.0]], np.float32)
    p = np.exp(2) / (np.exp(2) + np.exp(1) + np.exp(-1))
    assert log_odds(logits, 0) == pytest.approx([np.log(p / (1 - p)), 1000.0])
    two = logits[:, :2]
    np.testing.assert_allclose(log_odds(two, 1), two[:, 1] - two[:, 0])
