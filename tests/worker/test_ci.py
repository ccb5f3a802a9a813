import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.pruning.scores.ci import POLE, Contrast, coefficient, contrast, tangled_coefficient, weight_scores
from worker.pruning.statistics import LayerStatistics

FORMS = ["sine", "alpha"]


def features(p, n, cos, dtype=torch.float64):
    return Contrast(*(torch.tensor([value], dtype=dtype) for value in (p, n, cos)))


@pytest.mark.parametrize(
    ("form", "expected"),
    [("sine", 3 + 0.8 * 7 / 5), ("alpha", 3 + 0.6 * 0.8 / (0.6 - 0.8) * 4)],
)
def test_the_coefficient_follows_its_formula(form, expected):
    assert coefficient(features(3.0, 4.0, 0.6), form).item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=200)
@given(
    p=st.floats(0, float(torch.finfo(torch.float32).max), width=32),
    n=st.floats(0, float(torch.finfo(torch.float32).max), width=32),
    cos=st.one_of(st.floats(-1.0625, 1.0625, width=32), st.sampled_from([-1.0, 0.0, 1.0])),
    form=st.sampled_from(FORMS),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_every_input_has_a_finite_coefficient(p, n, cos, form, dtype):
    """Defect 3: the seed's sine is NaN just over 1, its α infinite at 45°, its dead features 0/0."""
    for found in (coefficient, tangled_coefficient):
        assert torch.isfinite(found(features(p, n, cos, dtype), form)).all()


def test_alpha_is_bounded_at_its_pole_on_both_sides():
    for cos in (math.sqrt(0.5), math.nextafter(math.sqrt(0.5), 0), math.nextafter(math.sqrt(0.5), 1)):
        alpha = coefficient(features(0.0, 1.0, cos), "alpha").item()
        assert abs(alpha) <= 0.5 / POLE * (1 + 1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_features_that_never_fire_and_features_that_repeat_are_finite(form):
    square = torch.tensor([[[0.0, 4.0, 9.0], [0.0, 4.0, 0.0]]], dtype=torch.float64)
    total = torch.tensor([[[0.0, 4.0, 3.0], [0.0, 4.0, 0.0]]], dtype=torch.float64)
    count = torch.tensor([[4.0, 4.0]], dtype=torch.float64)
    found = contrast(LayerStatistics(count, total, square, None), 0)
    assert found.cosine.tolist() == [0.0, 1.0, 0.0]
    coefficients = coefficient(found, form)
    assert torch.isfinite(coefficients).all()
    assert coefficients[0] == 0


def test_a_cosine_rounded_over_one_counts_as_one():
    over = coefficient(features(1.0, 1.0, 1.0000002, torch.float32), "sine")
    assert over.item() == 1.0


@pytest.mark.parametrize(
    ("form", "cos", "expected"),
    [
        ("sine", 0.6, 3 + 0.8 * 7 / 5),
        ("sine", -0.6, 3 - 0.8 * 7 / 5),
        ("alpha", -0.6, 3 + (-0.6 * -0.8) / (-0.6 + 0.8) * 4),
    ],
)
def test_the_tangled_coefficient_takes_the_sign_of_the_cosine(form, cos, expected):
    assert tangled_coefficient(features(3.0, 4.0, cos), form).item() == pytest.approx(expected, rel=1e-12)


def test_scores_weigh_weights_by_their_input():
    weight = torch.tensor([[3.0, -1.0], [4.0, 0.5]])
    coefficients = torch.tensor([1.0, -2.0], dtype=torch.float64)
    assert weight_scores(weight, coefficients).tolist() == [[3.0, 2.0], [4.0, 1.0]]


def test_a_score_beyond_the_largest_number_is_the_largest_number():
    largest = torch.finfo(torch.float32).max
    assert weight_scores(torch.full((1, 1), largest), torch.full((1,), largest)).item() == largest
