import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import NotEnoughSamples
from microlith.contract import Sampling
from worker.sampling.class_shares import proportional, spread
from worker.sampling.concern import draw_available, draw_samples
from worker.sampling.confusers import confusers, confusion

CONFUSERS = Sampling(negatives="confusers")

amounts = st.dictionaries(st.integers(0, 9), st.integers(0, 30), max_size=8)
weights = st.dictionaries(st.integers(0, 9), st.integers(0, 1000), max_size=8)


def rest_of(labels, drawn, classes):
    return np.bincount(labels[list(drawn.negative)], minlength=classes).tolist()


def test_confusions_are_counted_by_true_and_predicted_class():
    labels, predictions = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert confusion(predictions, labels, 3).tolist() == expected
    assert confusion(np.eye(3)[predictions], labels, 3).tolist() == expected


def test_confusers_are_counted_in_both_directions_and_never_the_concern_itself():
    counted = np.array([[9, 2, 0], [3, 9, 7], [1, 8, 9]])
    assert confusers(counted, 0) == {1: 2 + 3, 2: 0 + 1}


def test_shares_are_rounded_by_largest_remainder_and_ties_go_to_the_lowest_ids():
    plenty = dict.fromkeys(range(3), 99)
    assert proportional(10, plenty, {0: 47, 1: 16, 2: 37}) == {0: 5, 1: 1, 2: 4}  # exact: 4.7, 1.6, 3.7
    assert proportional(3, plenty, {0: 1, 1: 1, 2: 4}) == {0: 1, 1: 0, 2: 2}  # exact: 0.5, 0.5, 2


def test_what_a_confuser_cannot_give_the_other_confusers_share_in_proportion():
    assert proportional(16, {0: 2, 1: 99, 2: 99, 3: 99}, {0: 50, 1: 5, 2: 2}) == {0: 2, 1: 10, 2: 4, 3: 0}


def test_what_all_confusers_cannot_give_is_spread_evenly_over_the_rest():
    assert proportional(10, {0: 3, 1: 9, 2: 9}, {0: 7}) == {0: 3, 1: 4, 2: 3}


@settings(max_examples=200)
@given(samples=st.integers(0, 60), available=amounts, weight=weights)
def test_shares_never_exceed_what_there_is_and_are_as_many_as_asked_where_possible(samples, available, weight):
    given_ = proportional(samples, available, weight)
    assert given_.keys() == available.keys()
    assert all(0 <= given_[label] <= available[label] for label in available)
    assert sum(given_.values()) == min(samples, sum(available.values()))


@settings(max_examples=200)
@given(samples=st.integers(0, 60), weight=weights.filter(lambda w: any(w.values())))
def test_with_enough_of_every_class_each_share_is_exact_to_less_than_one(samples, weight):
    given_ = proportional(samples, dict.fromkeys(weight, 60), weight)
    whole = sum(weight.values())
    assert all(abs(given_[label] - samples * weight[label] / whole) < 1 for label in weight)


@settings(max_examples=50)
@given(samples=st.integers(0, 60), available=amounts)
def test_without_confusions_negatives_are_even(samples, available):
    assert proportional(samples, available, {}) == spread(samples, available)


def test_negatives_follow_the_confusions():
    labels = np.tile(np.arange(4), 40)
    counted = np.diag([30] * 4)
    counted[1, 0], counted[0, 3] = 9, 3
    drawn = draw_samples(labels, 0, 4, CONFUSERS, confusion=counted)
    assert rest_of(labels, drawn, 4) == [0, 12, 0, 4]
    assert set(labels[list(drawn.positive)]) == {0}
    untroubled = draw_samples(labels, 2, 4, CONFUSERS, confusion=counted)
    assert untroubled == draw_samples(labels, 2, 4, Sampling())


def test_samples_of_all_classes_know_no_confusers():
    labels = np.tile(np.arange(4), 40)
    assert draw_samples(labels, None, 4, CONFUSERS) == draw_samples(labels, None, 4, Sampling())


def test_confusers_without_a_confusion_matrix_are_a_mistake_of_the_caller_except_for_measures():
    labels = np.tile(np.arange(4), 40)
    with pytest.raises(ValueError, match="confusion matrix"):
        draw_samples(labels, 0, 4, CONFUSERS)
    assert draw_available(labels, 0, 4, CONFUSERS) == draw_available(labels, 0, 4, Sampling())


def test_too_few_of_the_rest_are_told_for_confusers_too():
    labels = np.array([0] * 20 + [1] * 3)
    with pytest.raises(NotEnoughSamples, match="3 of the rest"):
        draw_samples(labels, 0, 2, CONFUSERS, confusion=np.array([[15, 5], [0, 3]]))
