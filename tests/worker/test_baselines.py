"""What is had without a transformer: the most frequent class, and a bag of words."""

import numpy as np
import pytest

from worker.evaluation import baselines
from worker.evaluation.baselines import bag_of_words, majority

NAMES = ["animal", "food", "plant"]
TEXTS = ["a small furry beast", "a sweet red dish", "a wild beast that bites", "a dish of rice", "a cold dish"]
LABELS = np.array([0, 1, 0, 1, 1])


def test_the_most_frequent_class_is_that_of_the_train_split():
    found = majority(LABELS, np.array([0, 0, 1, 2]), NAMES)
    assert found.own_f1 == {"animal": 0.0, "food": pytest.approx(2 / 5), "plant": 0.0}
    assert found.macro_f1 == pytest.approx(2 / 15)


def test_a_bag_of_words_answers_by_words_it_has_seen():
    found = bag_of_words((TEXTS, LABELS), (["an old beast", "a warm dish"], np.array([0, 1])), NAMES)
    assert found is not None
    assert found.own_f1 == {"animal": 1.0, "food": 1.0, "plant": 0.0}
    assert found.macro_f1 == pytest.approx(2 / 3)
    assert found.rows == len(TEXTS)
    assert found.size_bytes > 0


def test_equal_data_give_equal_figures():
    test = (["an old beast", "a warm dish"], np.array([0, 1]))
    assert bag_of_words((TEXTS, LABELS), test, NAMES) == bag_of_words((TEXTS, LABELS), test, NAMES)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [(TEXTS, np.zeros(5, int)), (["", " ", "…", "--", "!"], LABELS)],
    ids=["one class", "no words"],
)
def test_there_is_no_bag_of_words_where_nothing_can_be_learned(texts, labels):
    assert bag_of_words((texts, labels), (["a beast"], np.array([0])), NAMES) is None


def test_a_large_train_split_is_thinned_to_what_its_work_allows(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_PRODUCTS", 60)
    found = bag_of_words((TEXTS * 20, np.tile(LABELS, 20)), (["a beast"], np.array([0])), NAMES)
    assert found is not None
    assert 0 < found.rows < 100


def test_several_labels_of_a_text_are_learned_one_by_one():
    tables = np.stack([LABELS == 0, LABELS == 1, np.zeros(5, bool)], axis=1)
    test = (["an old beast", "a warm dish"], np.array([[True, False, False], [False, True, False]]))
    found = bag_of_words((TEXTS, tables), test, NAMES)
    assert found is not None
    assert found.own_f1 == {"animal": 1.0, "food": 1.0, "plant": 0.0}
    assert majority(tables, test[1], NAMES).own_f1 == {"animal": 0.0, "food": pytest.approx(2 / 3), "plant": 0.0}
