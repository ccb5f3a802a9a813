import numpy as np
import pytest
import torch

from tests.builders import MAX_LENGTH, tiny_bert, tiny_distilbert, tiny_examples
from worker.compute.batches import forward, pad
from worker.evaluation.measures import (
    canonical_correlations,
    cca,
    debiased_kernel_cka,
    debiased_linear_cka,
    kernel_cka,
    linear_cka,
    principal,
    svcca,
)
from worker.evaluation.similarity import BaseStates, StatesWanted, compare, hidden_states
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask, applied
from worker.sampling.concern import ConcernSamples, rows_of


def mean_correlation(x, y):
    return svcca(principal(x), principal(y))


MEASURES = [linear_cka, kernel_cka, debiased_linear_cka, debiased_kernel_cka, cca, mean_correlation]
SAMPLES = ConcernSamples((4, 0, 8, 12, 16), (1, 2, 3, 5, 6))
OTHERS = ConcernSamples((1, 5, 9, 13, 17), (2, 3, 4, 0, 7))


def points(n=60, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_representation_is_like_itself_moved_turned_and_scaled(measure):
    x = points()
    turn, _ = np.linalg.qr(points(6, 6, seed=1))
    assert measure(x, x) == pytest.approx(1.0, abs=1e-4)
    assert measure(x, 3 * x @ turn + 5) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("measure", MEASURES)
def test_similarity_is_symmetric_and_less_for_other_points(measure):
    x, y = points(), points(seed=2)
    assert measure(x, y) == pytest.approx(measure(y, x), rel=1e-9)
    assert measure(x, x + 0.1 * y) > measure(x, x + y) > measure(x, y)


@pytest.mark.parametrize("measure", [debiased_linear_cka, debiased_kernel_cka])
def test_unrelated_points_are_unlike_in_the_mean_even_when_few(measure):
    """Defect 10: the seed's CKA of 16 unrelated samples is far from zero."""
    pairs = [(points(16, 64, seed), points(16, 64, seed + 1000)) for seed in range(200)]
    assert abs(np.mean([measure(x, y) for x, y in pairs])) < 0.02
    assert np.mean([linear_cka(x, y) for x, y in pairs]) > 0.5


def test_the_unbiased_hsic_is_the_mean_over_quadruples():
    """Song et al. 2012: E[k12 m12] + E[k12] E[m34] − 2 E[k12 m13] over distinct indices."""
    x, y = points(6, 3), points(6, 2, seed=1)
    k, m = x @ x.T, y @ y.T

    def hsic(a, b):
        r = range(6)
        terms = [
            a[i, j] * (b[i, j] + b[q, s] - 2 * b[i, q])
            for i in r
            for j in r
            for q in r
            for s in r
            if len({i, j, q, s}) == 4
        ]
        return np.mean(terms)

    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert debiased_linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_canonical_correlations_are_known_for_known_mixtures():
    shared, noise = points(20_000, 2), points(20_000, 2, seed=3)
    mixed = np.array([0.9, 0.5]) * shared + np.sqrt(1 - np.array([0.9, 0.5]) ** 2) * noise
    assert canonical_correlations(shared, mixed) == pytest.approx([0.9, 0.5], abs=0.02)


def test_too_few_or_equal_points_decide_nothing():
    assert mean_correlation(points(16, 12), points(16, 12, seed=1)) is None
    for measure in (debiased_linear_cka, debiased_kernel_cka, mean_correlation):
        assert measure(points(3), points(3)) is None
        assert measure(np.ones((9, 2)), points(9, 2)) is None
    assert cca(np.ones((9, 2)), points(9, 2)) is None
    assert linear_cka(np.ones((9, 2)), points(9, 2)) is None


@pytest.mark.parametrize("model", [tiny_bert(), tiny_distilbert()], ids=["bert", "distilbert"])
def test_states_are_the_means_over_real_tokens_in_the_order_of_the_samples(model):
    examples = tiny_examples()
    found = hidden_states(model, examples, SAMPLES).concern
    for place, row in enumerate(SAMPLES.positive):
        batch = pad(examples, np.array([row]), len(examples.token_ids[row]), "cpu")
        with torch.inference_mode():
            last = forward(model, batch, output_hidden_states=True).hidden_states[-1][0]
        np.testing.assert_allclose(found.pooled[-1][place], last.mean(0), atol=1e-5)
    assert found.tokens is None


def test_pads_add_the_seeds_measures_and_leave_the_default_ones_alone():
    model, examples = tiny_bert(), tiny_examples()
    mask = Mask("weights", {"bert.encoder.layer.1.output.dense": Bits.pack(np.arange(16 * 24).reshape(16, 24) % 2 > 0)})
    answers = []
    for pads in ("exclude", "include"):
        base = hidden_states(model, examples, SAMPLES, StatesWanted(pads=pads))
        with applied(model, mask, anatomy(model)):
            answers.append(compare(base, hidden_states(model, examples, SAMPLES, StatesWanted(pads=pads))))
    plain, seed = answers
    assert plain.legacy is None
    assert base.rest.tokens.shape == (5, MAX_LENGTH, 16)
    assert seed.concern.linear_cka == pytest.approx(plain.concern.linear_cka, abs=1e-3)
    for side in (seed.legacy.concern, seed.legacy.rest):
        assert 0 < side.linear_cka < 1
        assert 0 < side.kernel_cka < 1
        assert 0 < side.cca < 1


def test_a_class_without_samples_has_no_similarity():
    model, examples = tiny_bert(), tiny_examples()
    none = ConcernSamples((), SAMPLES.negative)
    for pads in ("exclude", "include"):
        states = hidden_states(model, examples, none, StatesWanted(pads=pads))
        found = compare(states, states)
        assert (found.concern.cca, found.concern.linear_cka, found.concern.kernel_cka) == (None, None, None)
        assert (found.concern.samples, found.concern.agreement) == (0, None)
        assert found.rest.linear_cka == pytest.approx(1.0)


def test_every_layer_is_compared_where_asked():
    model, examples = tiny_bert(), tiny_examples()
    wanted = StatesWanted(layers="all")
    base = hidden_states(model, examples, SAMPLES, wanted)
    found = compare(base, hidden_states(model, examples, SAMPLES, wanted)).concern
    assert found.layers is not None
    assert len(found.layers) == model.config.num_hidden_layers
    assert found.layers[-1].linear_cka == found.linear_cka
    assert found.samples == len(SAMPLES.positive)
    assert compare(hidden_states(model, examples, SAMPLES), hidden_states(model, examples, SAMPLES)).rest.layers is None


@pytest.mark.parametrize(("room", "runs"), [(2**20, 1 + 14), (0, 1 + 20)])
def test_the_base_looks_at_a_row_once_for_all_concerns_where_there_is_room(room, runs):
    model, examples, wanted = tiny_bert(), tiny_examples(), StatesWanted(pads="include")
    base, ran = BaseStates(examples, wanted, rows_of_both(), room), []
    hook = model.classifier.register_forward_pre_hook(lambda _, given: ran.append(len(given[0])))
    found = [base.of(model, samples) for samples in (SAMPLES, OTHERS)]
    hook.remove()
    assert sum(ran) == runs, "and one row more, to see how much room it takes"
    for states, samples in zip(found, (SAMPLES, OTHERS), strict=True):
        plain = hidden_states(model, examples, samples, wanted)
        for side in ("concern", "rest"):
            left, right = getattr(states, side), getattr(plain, side)
            np.testing.assert_allclose(left.tokens, right.tokens, atol=1e-5)
            np.testing.assert_allclose(left.logits, right.logits, atol=1e-5)


@pytest.mark.parametrize("room", [2**20, 0])
def test_a_concerns_states_are_the_same_whichever_concern_was_asked_for_before(room):
    model, examples, wanted = tiny_bert(), tiny_examples(), StatesWanted()
    first, second = (BaseStates(examples, wanted, rows_of_both(), room) for _ in range(2))
    one, _ = first.of(model, SAMPLES), first.of(model, OTHERS)
    _, other = second.of(model, OTHERS), second.of(model, SAMPLES)
    np.testing.assert_array_equal(one.concern.pooled, other.concern.pooled)
    np.testing.assert_array_equal(one.rest.logits, other.rest.logits)


def rows_of_both():
    return sorted(rows_of({0: SAMPLES, 1: OTHERS}))
