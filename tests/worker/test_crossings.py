"""Scans against models whose boundary is a formula: they answer from one number, the sum of the embeddings."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from microlith.contract import Boundary
from worker.sampling.boundary_crossings import Start, crossings, epsilon, last_step
from worker.sampling.embedding_classifier import EmbeddedModel, EmbeddedText

BOUNDARY = Boundary(step=0.01, max=2.0)


class OneNumber(nn.Module):
    """Answers with `logits(x)` [n, classes] of the sum x [n] of the embeddings."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits
        self.anywhere = nn.Parameter(torch.zeros(1))

    def forward(self, inputs_embeds, attention_mask):
        return SimpleNamespace(logits=self.logits((inputs_embeds * attention_mask.unsqueeze(-1)).sum((1, 2))))


def start_at(value, *, source=0):
    """A text of two tokens and one embedding, whose sum is `value`."""
    text = EmbeddedText(torch.tensor([[value], [0.0]]), torch.tensor([1, 1]))
    return Start(0, source, 0, text)


def scan(logits, *, stride, boundary=BOUNDARY, start=None, classes=2, token_budget=2048):
    model = EmbeddedModel(OneNumber(logits), token_budget)
    return list(crossings(model, start or start_at(0.0), classes, boundary, stride))


def two(lead):
    """Logits of two classes: the second leads by `lead`."""
    return torch.stack([torch.zeros_like(lead), lead], dim=1)


@pytest.mark.parametrize("stride", [1, 8])
@settings(max_examples=30)
@given(threshold=st.floats(0.03, 3.9), budget=st.integers(1, 100))
def test_the_first_step_past_a_threshold_is_found_whatever_the_stride_and_the_batches(stride, threshold, budget):
    """Both embeddings move by ε, so the sum moves by 2ε: it passes the threshold at ε = threshold / 2."""
    found = scan(lambda x: two(x - threshold), stride=stride, token_budget=budget)[0]
    expected = next(k for k in range(201) if 2 * np.float32(k * 0.01) >= np.float32(threshold))
    assert found.left in {expected, expected + 1}  # at the threshold itself the classes tie
    assert found.reached == (found.left if found.left < 200 else None)


@pytest.mark.parametrize("stride", [1, 8])
def test_leaving_the_source_is_not_yet_reaching_the_target(stride):
    """Class 1 leads from a sum of 0.5 on, class 2 from 1.5 on."""

    def logits(x):
        return torch.stack([torch.full_like(x, 0.5), x, 2 * x - 1.5], dim=1)

    found = scan(logits, stride=stride, classes=3)
    assert [crossing.target for crossing in found] == [1, 2]
    assert abs(found[1].left - 26) <= 1
    assert abs(found[1].reached - 76) <= 1


@pytest.mark.parametrize("stride", [1, 8])
def test_nothing_is_found_where_no_answer_changes_and_a_target_first_met_at_the_end_does_not_count(stride):
    found = scan(lambda x: two(x - 9.0), stride=stride)[0]
    assert (found.left, found.reached) == (None, None)
    found = scan(lambda x: two(x - 3.99), stride=stride)[0]
    assert (found.left, found.reached) == (200, None)


def excursion(width):
    """Class 1 leads on `width` steps around step 60 alone, and its logit rises all the way to there."""
    centre, half = 1.2, width * 0.01
    return lambda x: two(1 - ((x - centre) / half).abs())


def test_every_step_is_seen_by_stride_one():
    found = scan(excursion(2.5), stride=1)[0]
    assert found.left == found.reached == 59


def test_a_coarse_scan_sees_an_excursion_shorter_than_its_stride_when_the_answer_tends_to_it():
    assert scan(excursion(2.5), stride=8)[0].left == 59


def test_what_a_coarse_scan_can_miss_is_steeper_than_all_around_and_shorter_than_its_stride():
    def logits(x):
        return two(-1 + 0.01 * x + 2 * ((x - 1.2).abs() < 0.03))

    assert scan(logits, stride=1)[0].left == 59
    assert scan(logits, stride=8)[0].left is None


def test_a_coarse_scan_asks_for_far_fewer_answers():
    asked = [0, 0]
    for place, stride in enumerate((1, 8)):

        def logits(x, place=place):
            asked[place] += len(x)
            return two(x - 9.0)

        scan(logits, stride=stride, boundary=Boundary(step=0.01, max=4.0))
    assert asked[0] > 400
    assert asked[1] < asked[0] / 6


def test_a_model_of_one_class_has_no_crossings():
    assert scan(lambda x: x.unsqueeze(1), stride=1, classes=1) == []


def test_steps_are_decimal_numbers_and_end_at_the_largest():
    assert epsilon(3, Boundary(step=0.1)) == 0.3
    assert last_step(Boundary(step=0.1, max=0.3)) == 3
    assert last_step(Boundary(step=0.3, max=1.0)) == 3
