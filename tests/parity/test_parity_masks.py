"""CI masks of both forms and both structures, against the seed system's."""

import numpy as np
import pytest

from tests.parity.reference import CONCERNS, arrays, examples, masks, model, present
from worker.evaluation.runner import predict
from worker.families.layers import linear
from worker.pruning.masks import applied, lowest
from worker.pruning.scores.ci import coefficient, contrast, weight_scores

pytestmark = present

FILES = {"sine": ("ci_sine", "c{c}/r{r}/{layer}/mask"), "alpha": ("ci_unstructed", "c{c}/r{r}/{layer}.mask")}
NEAR_TIE = 1e-4


def gaps(scores, ratio):
    """Per row, how far apart the threshold's two neighbours are, relative to the larger."""
    count = int(scores.shape[1] * ratio)
    ascending = np.sort(scores, axis=1)
    return (ascending[:, count] - ascending[:, count - 1]) / ascending[:, count]


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
def test_weight_masks_are_the_seeds_but_for_near_ties(form, concern, ratio):
    statistics, made = masks(form, "weights")
    file, key = FILES[form]
    for layer, bits in made[concern, ratio].layers.items():
        different = bits.unpack() != arrays(file)[key.format(c=concern, r=ratio, layer=layer)]
        found = contrast(statistics.layers[layer], CONCERNS.index(concern))
        scores = weight_scores(linear(model(), layer).weight.detach(), coefficient(found, form)).numpy()
        assert different.sum() <= 4
        assert (gaps(scores, ratio)[different.any(axis=1)] < NEAR_TIE).all()


@pytest.mark.parametrize("concern", CONCERNS)
def test_sine_coefficients_are_the_seeds(concern):
    statistics, _ = masks("sine", "weights")
    for layer, sums in statistics.layers.items():
        found = coefficient(contrast(sums, CONCERNS.index(concern)), "sine").numpy()
        np.testing.assert_allclose(found, arrays("ci_sine")[f"c{concern}/{layer}/coefficient"], rtol=1e-5)


@pytest.mark.parametrize("concern", CONCERNS)
def test_alpha_statistics_are_the_seeds(concern):
    """To the seed's own precision: p + α n cancels where α < 0, and α's pole magnifies the cosine's last bit."""
    statistics, _ = masks("alpha", "weights")
    for layer, sums in statistics.layers.items():
        found = contrast(sums, CONCERNS.index(concern))
        stored = {key.rsplit(".", 1)[1]: value for key, value in of_layer(concern, layer).items()}
        np.testing.assert_allclose(found.concern_norm, stored["concern_norm"], rtol=1e-5)
        np.testing.assert_allclose(found.rest_norm, stored["non_concern_norm"], rtol=1e-5)
        np.testing.assert_allclose(found.cosine, stored["cosine"], rtol=1e-5, atol=1e-6)
        p, n, alpha = (stored[name].astype(np.float64) for name in ("concern_norm", "non_concern_norm", "alpha"))
        cos = stored["cosine"].astype(np.float64)
        magnified = np.maximum(1.0, 0.1 / np.abs(cos - np.sqrt(1 - cos**2)))
        error = np.abs(coefficient(found, "alpha").numpy() - stored["coefficient"])
        assert (error <= 1e-5 * magnified * (p + np.abs(alpha) * n)).all()


def of_layer(concern, layer):
    return {k: v for k, v in arrays("ci_unstructed").items() if k.startswith(f"c{concern}/stats/{layer}.")}


@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_neuron_masks_are_exactly_the_seeds(concern, ratio):
    for form in FILES:
        _, made = masks(form, "neurons")
        for layer, bits in made[concern, ratio].layers.items():
            if form == "sine":
                expected = arrays("ci_sine")[f"c{concern}/structed_r{ratio}/{layer}/kept_neurons"]
            else:
                expected = arrays("ci_structed")[f"c{concern}/r{ratio}/{layer}.neuron_mask"]
            np.testing.assert_array_equal(bits.unpack(), expected)


@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_models_without_neurons_answer_as_the_seeds(concern, ratio):
    _, made = masks("alpha", "neurons")
    with applied(model(), made[concern, ratio]):
        logits = predict(model(), examples("valid").take(range(16)))
    for keep_dim in (True, False):
        expected = arrays("ci_structed")[f"c{concern}/r{ratio}/logits_valid_batch0/keep_dim={keep_dim}"]
        np.testing.assert_allclose(logits, expected, atol=5e-6)


def test_ties_fall_as_in_a_stable_sort_of_the_seeds_scores():
    scores = np.array([[2.0, 1.0, 1.0, 1.0]], np.float32)
    assert lowest(scores, [2])[0].tolist() == [[True, False, False, True]]
