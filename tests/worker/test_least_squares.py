"""Weights solved anew under a mask, against the same from the tokens themselves."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.pruning import least_squares
from worker.pruning.least_squares import RIDGE, Sums, solve

KEPT = torch.tensor([True] * 7 + [False] * 5)


def tokens(count=200, width=12, seed=0):
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sums_of(now, then, columns=None):
    columns = torch.arange(now.shape[1]) if columns is None else columns
    sums = Sums.zero(columns, then.shape[1])
    for start in range(0, len(now), 50):
        sums.add(now[start : start + 50], then[start : start + 50])
    return sums


def by_tokens(weight, bias, kept, now, then):
    """Row by row, by least squares on the stacked system of tokens and ridge."""
    wanted = then @ weight.T - now @ (weight * kept).T
    shift = now.mean(0) if bias is not None else torch.zeros(now.shape[1], dtype=now.dtype)
    centred, wanted = now - shift, wanted - (wanted.mean(0) if bias is not None else 0.0)
    ridge = RIDGE * centred[:, kept.any(0)].square().sum(0).mean()
    solved = weight * kept
    for row, held in enumerate(kept):
        stacked = torch.cat([centred[:, held], ridge.sqrt() * torch.eye(int(held.sum()), dtype=now.dtype)])
        side = torch.cat([wanted[:, row], torch.zeros(int(held.sum()), dtype=now.dtype)])
        solved[row, held] += torch.linalg.lstsq(stacked, side.unsqueeze(1)).solution[:, 0]
    return solved


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_every_row_is_the_ridge_regression_under_its_own_mask(share, with_bias):
    """Rows of few inputs are solved from their side, rows of many from that of what is removed."""
    then, weight = tokens(), tokens(9, 12, seed=1)
    now = then + 0.3 * tokens(seed=2) + 0.5
    kept = torch.rand(9, 12, generator=torch.Generator().manual_seed(3)) < share
    bias = tokens(1, 9, seed=4)[0] if with_bias else None
    solved, mended = solve(weight, bias, kept, sums_of(now, then))
    torch.testing.assert_close(solved, by_tokens(weight, bias, kept, now, then), rtol=1e-3, atol=1e-4)
    assert not solved[~kept].any()
    if bias is not None:
        torch.testing.assert_close((now @ solved.T + mended).mean(0), (then @ weight.T + bias).mean(0))


def test_rows_of_one_mask_are_solved_together_as_each_by_itself():
    then, weight = tokens(), tokens(4, 12, seed=1)
    now = then * KEPT
    kept = KEPT.expand(4, 12)
    columns = KEPT.nonzero().flatten()
    together, _ = solve(weight, None, kept, sums_of(now, then, columns))
    torch.testing.assert_close(together, by_tokens(weight, None, kept, now, then))


def test_many_rows_are_solved_in_chunks_as_all_at_once(monkeypatch):
    then, weight = tokens(), tokens(30, 12, seed=1)
    kept = torch.rand(30, 12, generator=torch.Generator().manual_seed(3)) < 0.5
    whole, _ = solve(weight, None, kept, sums_of(then, then))
    monkeypatch.setattr(least_squares, "ENTRIES", 100)
    parts, _ = solve(weight, None, kept, sums_of(then, then))
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_exact_where_what_went_is_a_combination_of_what_stays(with_bias, monkeypatch):
    monkeypatch.setattr(least_squares, "RIDGE", 0.0)
    then = tokens()
    then[:, ~KEPT] = then[:, KEPT] @ tokens(7, 5) + (3.0 if with_bias else 0.0)
    weight, bias = tokens(4, 12), torch.zeros(4, dtype=torch.float64) if with_bias else None
    solved, mended = solve(weight, bias, KEPT.expand(4, 12), sums_of(then * KEPT, then, KEPT.nonzero().flatten()))
    off = then @ weight.T - then @ solved.T - (0.0 if mended is None else mended)
    assert off.abs().max() < 1e-5 * (then @ weight.T).abs().max()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 40),
    constant=st.sampled_from([0.0, 1.0, 1e-20, 1e10]),
    odd=st.lists(st.integers(0, 11), max_size=12),
    with_bias=st.booleans(),
)
def test_it_is_finite_and_never_worse_than_leaving_the_weights(seed, count, constant, odd, with_bias):
    """Whatever inputs are dead or constant, and however few the tokens."""
    x = tokens(count, seed=seed)
    x[:, odd] = constant
    weight, bias = tokens(4, 12, seed=seed + 1), torch.zeros(4, dtype=torch.float64) if with_bias else None
    kept = KEPT.expand(4, 12)
    solved, mended = solve(weight, bias, kept, sums_of(x, x))
    assert torch.isfinite(solved).all()
    assert mended is None or torch.isfinite(mended).all()

    def error(by):
        off = x @ weight.T - x @ by.T
        return float((off - off.mean(0) if with_bias else off).norm())

    assert error(solved) <= error(weight * kept) + 1e-6 * float((x @ weight.T).norm()) + 1e-12
