"""Masks of every method that the seed system has, on texts and on embeddings, against its own."""

import numpy as np
import pytest

from microlith.contract import JobSpec, Sampling
from tests.parity.reference import CLASSES, CONCERNS, arrays, examples, masks, masks_of, model, present, spec
from worker.compute.examples import EmbeddedExamples
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import applied
from worker.pruning.scores.ci import coefficient, contrast, weight_scores
from worker.pruning.selection import lowest
from worker.sampling.concern import ConcernSamples, draw_samples

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
    for layer, bits in made[concern, ratio].weights.items():
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
    """To the seed's own precision: p + α n cancels where α < 0, and what the cosine's last bits change grows as α'.

    Which bits those are depends on the CPU: the coefficient may differ as far as the cosine that was found does.
    """
    statistics, _ = masks("alpha", "weights")
    for layer, sums in statistics.layers.items():
        found = contrast(sums, CONCERNS.index(concern))
        stored = {key.rsplit(".", 1)[1]: value for key, value in of_layer(concern, layer).items()}
        np.testing.assert_allclose(found.concern_norm, stored["concern_norm"], rtol=1e-5)
        np.testing.assert_allclose(found.rest_norm, stored["non_concern_norm"], rtol=1e-5)
        np.testing.assert_allclose(found.cosine, stored["cosine"], rtol=1e-5, atol=1e-6)
        p, n, alpha = (stored[name].astype(np.float64) for name in ("concern_norm", "non_concern_norm", "alpha"))
        cos = stored["cosine"].astype(np.float64)
        sin = np.sqrt(1 - cos**2)
        slope = np.abs((cos + sin) / sin + cos * (cos + sin) / (cos - sin) ** 2)  # |dα / dcos|
        apart = np.abs(found.cosine.numpy() - cos) + np.finfo(np.float32).eps
        error = np.abs(coefficient(found, "alpha").numpy() - stored["coefficient"])
        assert (error <= 1e-5 * (p + np.abs(alpha) * n) + 2 * slope * apart * n).all()


def of_layer(concern, layer):
    return {k: v for k, v in arrays("ci_unstructed").items() if k.startswith(f"c{concern}/stats/{layer}.")}


@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_neuron_masks_are_exactly_the_seeds(concern, ratio):
    for form in FILES:
        _, made = masks(form, "neurons")
        for block, bits in made[concern, ratio].neurons.items():
            layer = f"{block}.intermediate.dense"
            if form == "sine":
                expected = arrays("ci_sine")[f"c{concern}/structed_r{ratio}/{layer}/kept_neurons"]
            else:
                expected = arrays("ci_structed")[f"c{concern}/r{ratio}/{layer}.neuron_mask"]
            np.testing.assert_array_equal(bits.unpack(), expected)


@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", [0.3, 0.5])
def test_models_without_neurons_answer_as_the_seeds(concern, ratio):
    _, made = masks("alpha", "neurons")
    with applied(model(), made[concern, ratio], anatomy(model())):
        logits = predict(model(), examples("valid").take(range(16)))
    for keep_dim in (True, False):
        expected = arrays("ci_structed")[f"c{concern}/r{ratio}/logits_valid_batch0/keep_dim={keep_dim}"]
        np.testing.assert_allclose(logits, expected, atol=5e-6)


def test_ties_fall_as_in_a_stable_sort_of_the_seeds_scores():
    scores = np.array([[2.0, 1.0, 1.0, 1.0]], np.float32)
    assert lowest(scores, [2])[0].tolist() == [[True, False, False, True]]


LAYERS = {
    "ffn": {"include": ["intermediate", "output"], "exclude": ["attention"]},
    "all": {"exclude": ["pooler", "cls"]},
}
METHODS = {
    "wanda": (0.4, {"name": "wanda"}),
    "magnitude": (0.6, {"name": "magnitude"}),
    "normdist": (0.4, {"name": "zscore", "rule": "quantile"}),
}


def of_the_last_batch(method, ratio, layers):
    """Defect 4: every batch of 4 overwrote the seed's statistics, so its masks are those of the last one alone."""
    train = examples("train")
    everything = draw_samples(train.labels, None, CLASSES, Sampling()).negative
    asked = JobSpec(
        model="demo:m",
        dataset="demo:d",
        method=method,
        ratio=ratio,
        layers=LAYERS[layers],
        calibration={"pads": "include"},
    )
    return masks_of(asked, train, {0: ConcernSamples(everything[-4:], ())})


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("method", METHODS)
def test_masks_of_the_other_methods_are_the_seeds(method, layers):
    ratio, given = METHODS[method]
    _, made = of_the_last_batch(given, ratio, layers)
    stored = {
        key.split("/")[2].removesuffix(".mask"): value
        for key, value in arrays("wanda_magnitude_normdist").items()
        if key.startswith(f"{method}_r{ratio}/{layers}/") and key.endswith(".mask")
    }
    assert set(stored) <= set(made[0, ratio].weights)
    for layer, expected in stored.items():
        np.testing.assert_array_equal(made[0, ratio].weights[layer].unpack(), expected)


@pytest.mark.parametrize("layers", LAYERS)
def test_the_input_norms_of_wanda_are_the_seeds(layers):
    """As they enter the score: the seed sums squares in float32, which alone moves a sum by up to 1.1e-5."""
    statistics, _ = of_the_last_batch({"name": "wanda"}, 0.4, layers)
    for key, expected in arrays("wanda_magnitude_normdist").items():
        if key.startswith(f"wanda_r0.4/{layers}/") and key.endswith(".scaler_row_last_batch"):
            layer = key.split("/")[2].removesuffix(".scaler_row_last_batch")
            np.testing.assert_allclose((statistics.layers[layer].square[0, 0] / 4).sqrt(), np.sqrt(expected), rtol=1e-5)


def embedded():
    """The seed's embedding samples of concern 2: the positives, then the negatives."""
    stored = arrays("embeds_calibration_ci")
    sides = ("c2/pos", "c2/neg")
    embeddings = np.concatenate([stored[f"{side}/embeddings"] for side in sides])
    masks = np.concatenate([stored[f"{side}/attention_mask"] for side in sides]).astype(np.int64)
    labels = np.concatenate([stored[f"{side}/labels"] for side in sides]).astype(np.int64)
    half = len(labels) // 2
    samples = {2: ConcernSamples(tuple(range(half)), tuple(range(half, 2 * half)))}
    return EmbeddedExamples(embeddings, masks, labels), samples


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
def test_masks_on_embedding_samples_are_the_seeds_but_for_near_ties(ratio):
    statistics, made = masks_of(spec("alpha", "weights", [ratio]), *embedded())
    for layer, bits in made[2, ratio].weights.items():
        different = bits.unpack() != arrays("embeds_calibration_ci")[f"c2/r{ratio}/{layer}.mask"]
        coefficients = coefficient(contrast(statistics.layers[layer], 0), "alpha")
        scores = weight_scores(linear(model(), layer).weight.detach(), coefficients).numpy()
        assert different.sum() <= 4
        assert (gaps(scores, ratio)[different.any(axis=1)] < NEAR_TIE).all()


def test_neuron_masks_on_embedding_samples_are_exactly_the_seeds():
    _, made = masks_of(spec("alpha", "neurons", [0.3]), *embedded())
    for block, bits in made[2, 0.3].neurons.items():
        expected = arrays("embeds_calibration_ci")[f"c2/structed_r0.3/{block}.intermediate.dense.neuron_mask"]
        np.testing.assert_array_equal(bits.unpack(), expected)
