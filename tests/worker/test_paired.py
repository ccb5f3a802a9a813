"""The paired change of macro-F1: its value, its interval, and how long it takes."""

import time

import numpy as np
import pytest
from sklearn.metrics import f1_score

from microlith.contract.combine import Bootstrap
from worker.combining.comparison import compare, tabulate
from worker.evaluation.paired import macro_f1_change


def answers(rows=600, classes=5, right=0.8, seed=0):
    """Labels, and what two classifiers that are right so often make of them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    wrong = [rng.integers(classes, size=rows) for _ in range(2)]
    return labels, *(np.where(rng.random(rows) < right, labels, given) for given in wrong)


def test_the_value_is_the_difference_of_both_macro_f1():
    labels, own, base = answers()
    found = macro_f1_change(own, base, labels, 7)
    scores = [f1_score(labels, given, labels=range(7), average="macro", zero_division=0) for given in (own, base)]
    assert found.value == pytest.approx(scores[0] - scores[1])
    assert found.low < found.value < found.high


def test_equal_answers_have_no_interval():
    labels, own, _ = answers()
    found = macro_f1_change(own, own, labels, 5)
    assert (found.low, found.value, found.high) == (0.0, 0.0, 0.0)


def test_the_interval_is_that_of_resampled_rows():
    labels, own, base = answers(rows=2000)
    found = macro_f1_change(own, base, labels, 5)
    by_rows = compare(tabulate(own, 5), tabulate(base, 5), labels, Bootstrap()).macro_f1.difference
    assert found.low == pytest.approx(by_rows.low, abs=0.004)
    assert found.high == pytest.approx(by_rows.high, abs=0.004)


def test_the_interval_is_the_same_every_time():
    labels, own, base = answers()
    assert macro_f1_change(own, base, labels, 5) == macro_f1_change(own, base, labels, 5)


def test_ten_thousand_rows_of_a_hundred_classes_take_seconds_at_most():
    labels, own, base = answers(rows=10_000, classes=100)
    began = time.process_time()
    macro_f1_change(own, base, labels, 100)
    assert time.process_time() - began < 10


def test_tables_of_several_labels_are_compared_as_class_ids_are():
    labels, own, base = answers()
    tables = [ids[:, None] == np.arange(5) for ids in (own, base, labels)]
    found, expected = macro_f1_change(*tables, 5), macro_f1_change(own, base, labels, 5)
    assert found.value == pytest.approx(expected.value)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_of_several_labels_the_interval_is_that_of_resampled_rows():
    rng = np.random.default_rng(0)
    truth = rng.random((800, 4)) < [0.5, 0.3, 0.2, 0.1]
    own, base = (np.where(rng.random(truth.shape) < 0.85, truth, ~truth) for _ in range(2))
    found = macro_f1_change(own, base, truth, 4)
    again = [rng.integers(800, size=800) for _ in range(400)]
    changes = [
        f1_score(truth[r], own[r], average="macro") - f1_score(truth[r], base[r], average="macro") for r in again
    ]
    assert found.low == pytest.approx(np.quantile(changes, 0.025), abs=0.012)
    assert found.high == pytest.approx(np.quantile(changes, 0.975), abs=0.012)
