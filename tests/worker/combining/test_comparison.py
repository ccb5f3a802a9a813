from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from microlith.contract.combine import Bootstrap
from worker.combining.comparison import compare, tabulate


def drawn(rows: int, accuracy: float, seed: int, labels: int = 3):
    """True places, and answers right with this probability, else one further."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(labels, size=rows)
    return truth, np.where(rng.random(rows) < accuracy, truth, (truth + 1) % labels)


def test_the_values_are_scikit_learns():
    truth, one = drawn(300, 0.8, 0)
    other = drawn(300, 0.6, 1)[1]
    found = compare(tabulate(one, 3), tabulate(other, 3), truth, Bootstrap(resamples=100))
    for answers, side in ((one, "combined"), (other, "reference")):
        assert getattr(found.accuracy, side).value == pytest.approx(accuracy_score(truth, answers))
        assert getattr(found.macro_f1, side).value == pytest.approx(f1_score(truth, answers, average="macro"))
        by_label = [getattr(label, side).value for label in found.f1]
        assert by_label == pytest.approx(f1_score(truth, answers, average=None).tolist())


def test_the_interval_of_an_accuracy_is_the_binomials():
    truth, answers = drawn(2000, 0.8, 2)
    found = compare(tabulate(answers, 3), tabulate(answers, 3), truth, Bootstrap(resamples=2000)).accuracy.combined
    spread = 1.96 * np.sqrt(found.value * (1 - found.value) / 2000)
    assert found.low == pytest.approx(found.value - spread, abs=0.003)
    assert found.high == pytest.approx(found.value + spread, abs=0.003)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(100):
        truth, answers = drawn(300, 0.8, 100 + seed)
        found = compare(tabulate(answers, 3), tabulate(answers, 3), truth, Bootstrap(resamples=200)).accuracy.combined
        covered += found.low <= 0.8 <= found.high
    assert 88 <= covered <= 100  # 95 of 100 are meant; fewer than 88 come by chance once in 400 runs


def test_a_classifier_beside_itself_differs_by_nothing_at_all():
    truth, answers = drawn(200, 0.7, 3)
    found = compare(tabulate(answers, 3), tabulate(answers, 3), truth, Bootstrap())
    for compared in (found.accuracy, found.macro_f1, *found.f1):
        assert (compared.difference.low, compared.difference.value, compared.difference.high) == (0, 0, 0)
        assert compared.combined == compared.reference


def test_pairs_say_more_than_two_intervals_apart():
    truth, other = drawn(1000, 0.7, 4)
    better = other.copy()
    wrong = np.flatnonzero(other != truth)[:20]
    better[wrong] = truth[wrong]
    found = compare(tabulate(better, 3), tabulate(other, 3), truth, Bootstrap())
    assert found.accuracy.reference.high > found.accuracy.combined.low
    assert found.accuracy.difference.low > 0


def test_the_seed_decides_the_draws():
    truth, one = drawn(200, 0.7, 5)
    other = drawn(200, 0.6, 6)[1]
    runs = [compare(tabulate(one, 3), tabulate(other, 3), truth, Bootstrap(seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_several_answers_at_once_are_right_only_as_a_whole():
    truth = np.array([0, 1])
    both = np.array([[True, False], [True, True]])
    found = compare(both, tabulate(truth, 2), truth, Bootstrap(resamples=100))
    assert found.accuracy.combined.value == 0.5
    assert found.f1[0].combined.value == pytest.approx(2 / 3)
    assert found.f1[1].combined.value == 1.0


def test_a_thousand_resamples_of_a_test_split_take_a_moment():
    truth, answers = drawn(3445, 0.9, 7, labels=12)
    began = time.process_time()
    compare(tabulate(answers, 12), tabulate(answers, 12), truth, Bootstrap())
    assert time.process_time() - began < 10
