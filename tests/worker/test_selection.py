from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.domain.errors import InvalidInput
from microlith.contract import JobSpec
from worker.pruning.selection import EXCHANGED, Units, lowest, select

NAMES = ("a.one", "a.two", "b.one")
LAYERS = Units.of_layers(NAMES)
SOME = arrays(np.float64, (3, 4, 12), elements=st.sampled_from([0.0, 1.0, 1.5, 2.0, 1e300]))


def spec_of(**given):
    return JobSpec(model="demo:m", dataset="demo:d", **given)


def scorer(scores):
    return lambda name: torch.from_numpy(scores[NAMES.index(name)])


def removed(bits):
    return ~bits.unpack()


@settings(max_examples=50)
@given(
    scores=arrays(np.float64, (5, 11), elements=st.sampled_from([0.0, 1.0, 1.5, 2.0, 1e300])),
    counts=st.lists(st.integers(0, 10), min_size=1, max_size=4),
)
def test_every_row_loses_exactly_its_count_of_lowest_as_a_stable_sort_has_it(scores, counts):
    order = np.argsort(scores, axis=1, kind="stable")
    for count, kept in zip(counts, lowest(scores, counts), strict=True):
        assert (~kept).sum(axis=1).tolist() == [count] * 5
        removed = [set(row[:count]) for row in order.tolist()]
        assert [set(np.flatnonzero(~row).tolist()) for row in kept] == removed


@settings(max_examples=25)
@given(scores=SOME, ratio=st.floats(0.01, 0.99), recovery=st.sampled_from(["none", "ti"]))
def test_every_scope_removes_exactly_its_count_with_and_without_exchange(scores, ratio, recovery):
    restorer = scorer(scores[::-1]) if recovery == "ti" else None
    row, layer, everything = (
        select(spec_of(scope=scope, ratio=ratio), LAYERS, scorer(scores), restorer)[0]
        for scope in ("row", "layer", "global")
    )
    assert all(removed(bits).sum(axis=1).tolist() == [int(12 * ratio)] * 4 for bits in row.values())
    assert [removed(bits).sum() for bits in layer.values()] == [int(48 * ratio)] * 3
    assert sum(removed(bits).sum() for bits in everything.values()) == int(144 * ratio)


@settings(max_examples=25)
@given(scores=SOME, pattern=st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 4), (2, 6), (1, 3), (5, 12)]))
def test_a_pattern_removes_n_of_every_m_consecutive_inputs(scores, pattern):
    n, m = pattern
    (kept,) = select(spec_of(scope=f"{n}:{m}", ratio=n / m), LAYERS, scorer(scores))
    for bits in kept.values():
        assert bits.shape == (4, 12)
        assert (removed(bits).reshape(-1, m).sum(axis=1) == n).all()


@settings(max_examples=25)
@given(scores=SOME, scope=st.sampled_from(["row", "layer", "global"]), data=st.data())
def test_a_higher_ratio_removes_all_that_a_lower_one_does(scores, scope, data):
    ratios = sorted(data.draw(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=4, unique=True)))
    sweep = select(spec_of(scope=scope, ratio=ratios), LAYERS, scorer(scores))
    for fewer, more in pairwise(sweep):
        assert all((removed(fewer[name]) <= removed(more[name])).all() for name in NAMES)


def test_the_scope_global_lets_a_layer_of_low_scores_go_first():
    scores = np.stack([np.full((4, 12), level) for level in (3.0, 1.0, 2.0)])
    (kept,) = select(spec_of(scope="global", ratio=0.5), LAYERS, scorer(scores))
    assert [removed(kept[name]).sum() for name in NAMES] == [0, 48, 24]


def test_the_first_rule_that_fits_gives_a_layers_ratio_and_pools_of_their_own():
    rules = [{"layers": "one", "ratio": 0.25}, {"layers": "a.", "ratio": 0.75}, {"structure": "weights", "ratio": 0.9}]
    scores = np.random.default_rng(0).random((3, 4, 12))
    by_row, by_model = (
        select(spec_of(scope=scope, ratio_rules=rules), LAYERS, scorer(scores))[0] for scope in ("row", "global")
    )
    assert [removed(by_row[name]).mean() for name in NAMES] == [0.25, 0.75, 0.25]
    assert removed(by_model["a.one"]).sum() + removed(by_model["b.one"]).sum() == 24
    assert removed(by_model["a.two"]).sum() == 36


def test_a_rule_of_one_structure_leaves_the_other_at_the_ratio_of_the_sweep():
    spec = spec_of(structure="heads+weights", ratio=[0.5, 0.25], ratio_rules=[{"structure": "heads", "ratio": 0.75}])
    heads = Units("heads", {"block": ("block", "block.query")})
    swept = select(spec, heads, lambda _: torch.arange(8.0))
    assert [removed(kept["block"]).sum() for kept in swept] == [6, 6]
    swept = select(spec, Units.of_layers(NAMES), scorer(np.random.default_rng(0).random((3, 4, 12))))
    assert [removed(kept["a.one"]).sum(axis=1).tolist() for kept in swept] == [[6] * 4, [3] * 4]


def test_neurons_are_compared_within_their_block_by_default():
    blocks = Units("neurons", {"a": ("a",), "b": ("b",)})
    scores = {"a": torch.arange(10.0), "b": 100 + torch.arange(10.0)}
    (each,) = select(spec_of(structure="neurons"), blocks, scores.__getitem__)
    (pooled,) = select(spec_of(structure="neurons", scope="global"), blocks, scores.__getitem__)
    assert [bits.kept for bits in each.values()] == [5, 5]
    assert [bits.kept for bits in pooled.values()] == [0, 10]
    assert each["a"].shape == (10,)


def test_an_exchange_restores_the_best_of_the_last_to_go_and_nothing_else():
    scores = np.arange(20.0)[np.newaxis].repeat(3, axis=0).reshape(3, 1, 20)
    restoring = np.zeros_like(scores)
    restoring[:, 0, 0] = 1.0  # the lowest score, and the best of all to restore
    (plain,) = select(spec_of(), LAYERS, scorer(scores))
    (exchanged,) = select(spec_of(recovery="ti"), LAYERS, scorer(scores), scorer(restoring))
    before, after = (set(np.flatnonzero(removed(found["a.one"])[0]).tolist()) for found in (plain, exchanged))
    assert before == set(range(10))
    assert 0 not in after
    assert after <= set(range(10 + int(10 * EXCHANGED)))
    assert len(after) == 10


def test_a_layer_that_a_pattern_does_not_divide_is_refused():
    with pytest.raises(InvalidInput, match="12 inputs"):
        select(spec_of(scope="1:5", ratio=0.2), LAYERS, scorer(np.zeros((3, 4, 12))))
