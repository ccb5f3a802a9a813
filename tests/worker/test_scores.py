"""Wanda, magnitude, z-score and lots, against their formulas and on hostile input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from worker.pruning.scores import plain, taylor, wanda
from worker.pruning.statistics import LayerStatistics, Statistics
from worker.sampling.concern import ConcernSamples

LARGEST = float(np.finfo(np.float32).max)
HOSTILE = arrays(
    np.float32, (3, 5), elements=st.sampled_from([0.0, -0.0, 1.0, 1.0, -2.5, 1e-45, 1e-30, 1e30, LARGEST, -LARGEST])
)


def statistics_of(square):
    square = torch.tensor(square, dtype=torch.float64)  # [concerns, 2, in]
    return Statistics((4, 7), {"layer": LayerStatistics(torch.ones(square.shape[:2]), square, square, None)})


def test_wanda_is_the_weight_times_the_root_mean_square_of_its_input_over_samples():
    samples = {4: ConcernSamples((0, 1), (2, 3)), 7: ConcernSamples((2, 3), (0, 1))}
    statistics = statistics_of([[[8.0, 0.0], [2.0, 2.0]], [[18.0, 2.0], [4.0, 4.0]]])
    norms = wanda.concern_norms(statistics, samples, "layer", 7)
    assert norms.tolist() == [3.0, 1.0]
    assert wanda.weight_scores(torch.tensor([[2.0, -5.0]]), norms).tolist() == [[6.0, 5.0]]
    assert wanda.pooled_norms(statistics, samples, "layer").tolist() == [2.0, 1.0]


def test_zscore_is_the_distance_to_the_rows_mean_in_unbiased_standard_deviations():
    row = [1.0, 2.0, 6.0]
    std = math.sqrt((4 + 1 + 9) / 2)
    assert plain.zscore(torch.tensor([row])).tolist()[0] == pytest.approx([-2 / std, -1 / std, 3 / std])


def test_the_quantile_rule_takes_the_asked_fraction_of_a_normal_row_in_a_half_open_band():
    weight = torch.randn(4, 4000, generator=torch.Generator().manual_seed(0))
    kept = plain.quantile_kept(plain.zscore(weight), 0.4)
    assert (~kept).float().mean(1).tolist() == pytest.approx([0.4] * 4, abs=0.02)
    bound = 0.6744897501960817  # Φ⁻¹(¾)
    assert plain.quantile_kept(torch.tensor([[-bound, bound, 0.0]], dtype=torch.float64), 0.5).tolist() == [
        [False, True, False]
    ]


def test_lots_hang_on_seed_concern_and_units_alone():
    drawn = plain.lots((3, 4), 44, 0, "weights of a")
    assert torch.equal(drawn, plain.lots((3, 4), 44, 0, "weights of a"))
    others = [
        plain.lots((3, 4), 45, 0, "weights of a"),
        plain.lots((3, 4), 44, 1, "weights of a"),
        plain.lots((3, 4), 44, 0, "weights of b"),
    ]
    assert not any(torch.equal(drawn, other) for other in others)
    assert drawn.min() >= 0
    assert drawn.max() < 1


@settings(max_examples=60)
@given(weight=HOSTILE, other=HOSTILE, square=arrays(np.float64, (2, 2, 5), elements=st.sampled_from([0.0, 1.0, 1e77])))
def test_every_score_is_finite_and_none_is_negative(weight, other, square):
    tensor, samples = torch.from_numpy(weight), {4: ConcernSamples((), ()), 7: ConcernSamples((0,), (1,))}
    statistics = statistics_of(square)
    scores = [
        plain.magnitude(tensor),
        plain.zscore(tensor).abs(),
        wanda.weight_scores(tensor, wanda.concern_norms(statistics, samples, "layer", 4)),
        wanda.weight_scores(tensor, wanda.pooled_norms(statistics, samples, "layer")),
        taylor.weight_scores(tensor, torch.from_numpy(other)),
    ]
    for found in scores:
        assert torch.isfinite(found).all()
        assert (found >= 0).all()


@pytest.mark.parametrize("weight", [torch.zeros(2, 3), torch.full((2, 3), -7.0), torch.tensor([[1.0], [2.0]])])
def test_rows_of_equal_weights_have_a_zscore_of_zero(weight):
    assert not plain.zscore(weight).any()
