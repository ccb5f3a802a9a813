import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import NotEnoughSamples
from microlith.contract import Sampling
from worker.sampling.class_shares import spread
from worker.sampling.concern import draw_available, draw_samples


def labels_of(rows=200, classes=5, seed=0):
    return np.random.default_rng(seed).integers(0, classes, rows)


def test_what_does_not_divide_goes_one_each_to_the_lowest_ids():
    assert spread(8, {0: 9, 2: 9, 3: 9}) == {0: 3, 2: 3, 3: 2}
    assert spread(1, {0: 9, 1: 9}) == {0: 1, 1: 0}


def test_what_a_class_cannot_give_the_others_do():
    assert spread(16, {0: 0, 2: 1, 3: 9, 4: 9}) == {0: 0, 2: 1, 3: 8, 4: 7}
    assert spread(16, {0: 3, 1: 4}) == {0: 3, 1: 4}
    assert spread(16, {}) == {}


def test_negatives_come_window_by_window_and_class_by_class_inside_one():
    labels = np.array([0, 2, 1, 2, 1, 0, 2, 1])
    drawn = draw_samples(labels, 0, 3, Sampling(per_concern=2), scan=4)
    assert drawn.positive == (0, 5)
    assert drawn.negative == (2, 1)
    drawn = draw_samples(np.array([2, 0, 1, 1]), 0, 3, Sampling(per_concern=1), scan=2)
    assert drawn.negative == (2,)


@settings(max_examples=30)
@given(
    concern=st.integers(0, 4),
    per_concern=st.integers(1, 20),
    order=st.sampled_from(["first", "random"]),
    seed=st.integers(0, 9),
)
def test_positives_are_of_the_concern_and_negatives_spread_evenly(concern, per_concern, order, seed):
    labels = labels_of()
    drawn = draw_samples(labels, concern, 5, Sampling(per_concern=per_concern, order=order, seed=seed))
    assert len(drawn.positive) == len(drawn.negative) == per_concern
    assert set(labels[list(drawn.positive)]) == {concern}
    found = np.bincount(labels[list(drawn.negative)], minlength=5)
    assert found[concern] == 0
    assert np.delete(found, concern).max() - np.delete(found, concern).min() <= 1
    assert len({*drawn.positive, *drawn.negative}) == 2 * per_concern


def test_the_seed_decides_the_random_order():
    """Defect 14: the seed system takes a seed and ignores it."""

    def drawn(seed):
        return draw_samples(labels_of(), 0, 5, Sampling(order="random", seed=seed))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_samples_of_all_classes_are_negatives_alone():
    labels = labels_of()
    drawn = draw_samples(labels, None, 5, Sampling(per_concern=10))
    assert drawn.positive == ()
    assert np.bincount(labels[list(drawn.negative)]).tolist() == [2] * 5


def test_too_few_rows_are_told_with_their_counts():
    labels = np.array([0] * 20 + [1] * 3)
    with pytest.raises(NotEnoughSamples, match=r"`train`: 3 of class 1, 16 are needed"):
        draw_samples(labels, 1, 3, Sampling())
    with pytest.raises(NotEnoughSamples, match=r"`train`: 3 of the rest, 16 are needed"):
        draw_samples(labels, 0, 3, Sampling())


def test_a_model_of_one_class_has_no_rest():
    with pytest.raises(NotEnoughSamples, match="0 of the rest"):
        draw_samples(np.zeros(40, np.int64), 0, 1, Sampling())


def test_drawing_what_is_available_takes_all_of_a_short_class():
    labels = np.array([0] * 20 + [1] * 3 + [2] * 20)
    drawn = draw_available(labels, 1, 3, Sampling())
    assert drawn.positive == (20, 21, 22)
    assert len(drawn.negative) == 16
