"""A module's head as concern against rest."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from worker.evaluation.binary import CONCERN, BinaryHead, best_threshold, margins, measure, with_binary_head


def points(rows=200, classes=5, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, classes)).astype(np.float32)


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=50,
        num_labels=5,
        max_position_embeddings=16,
    )
    return BertForSequenceClassification(config).eval()


def answers(model, seed=0):
    ids = torch.randint(1, 50, (12, 8), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return model(input_ids=ids).logits.numpy()


def test_the_margin_is_the_concerns_logit_less_the_mean_of_the_others():
    assert margins(np.array([[1.0, 5.0, 3.0]]), 1).tolist() == [3.0]


def test_the_threshold_is_the_one_with_the_best_f1_of_all():
    scores, members = margins(points(), 2), points()[:, 0] > 0.3
    best = measure(scores, members, best_threshold(scores, members)).f1
    assert best == pytest.approx(max(measure(scores, members, float(cut)).f1 for cut in scores), abs=1e-12)


def test_the_threshold_lies_between_two_scores_so_that_rounding_does_not_decide():
    scores, members = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])
    assert best_threshold(scores, members) == 1.5
    assert measure(scores, members, 1.5).model_dump() == {
        "threshold": 1.5,
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "auroc": 1.0,
    }


@pytest.mark.parametrize("members", [np.zeros(8, bool), np.ones(8, bool)])
def test_a_side_without_examples_decides_nothing(members):
    scores = margins(points(8), 0)
    assert best_threshold(scores, members) == 0.0
    assert measure(scores, members, 0.0).auroc == 0.5


def test_the_two_row_head_decides_by_its_argmax_as_the_threshold_does(model):
    expected = margins(answers(model), 3)
    threshold = float(np.median(expected))
    binary = with_binary_head(model, BinaryHead("classifier", 3, "plant"), threshold)
    found = answers(binary)
    assert found.shape == (12, 2)
    assert (found.argmax(1) == CONCERN).tolist() == (expected >= threshold).tolist()
    assert np.allclose(found[:, 1] - found[:, 0], expected - threshold, atol=1e-5)


def test_the_base_keeps_its_head_and_shares_the_rest(model):
    before = answers(model)
    binary = with_binary_head(model, BinaryHead("classifier", 0, "act"), 0.5)
    assert np.array_equal(answers(model), before)
    shared = {id(tensor) for tensor in model.parameters()} & {id(tensor) for tensor in binary.parameters()}
    assert len(shared) == len(list(model.parameters())) - 2


def test_a_binary_module_opens_with_plain_from_pretrained(model, tmp_path):
    binary = with_binary_head(model, BinaryHead("classifier", 1, "animal"), 0.25)
    binary.save_pretrained(tmp_path)
    opened = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    assert opened.config.id2label == {0: "rest", 1: "animal"}
    assert np.allclose(answers(opened), answers(binary), atol=1e-6)
    assert model.config.num_labels == 5
