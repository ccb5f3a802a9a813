"""Report, exp_loss, sparsity and similarity, against the seed system's."""

from contextlib import nullcontext

import numpy as np
import pytest
from sklearn.metrics import classification_report

from microlith.contract import Sampling
from tests.parity.reference import CLASSES, arrays, examples, masks, model, numbers, present
from worker.evaluation.measures import canonical_correlations, cca, kernel_cka, linear_cka
from worker.evaluation.report import exp_loss, score
from worker.evaluation.runner import predict
from worker.evaluation.similarity import StatesWanted, compare, hidden_states
from worker.evaluation.sparsity import base_size, sparsity
from worker.families.anatomy import anatomy
from worker.pruning.masks import applied
from worker.sampling.concern import draw_samples

NAMES = [str(label) for label in range(CLASSES)]


@present
@pytest.mark.parametrize("subject", ["model", "module_c3_r0.5"])
def test_a_whole_evaluation_is_the_seeds(subject):
    expected, test, valid = numbers("evaluate")[subject], examples("test"), examples("valid")
    base = base_size(model())
    mask = masks("alpha", "weights")[1][3, 0.5]
    with nullcontext() if subject == "model" else applied(model(), mask, anatomy(model())):
        logits, valid_logits = predict(model(), test), predict(model(), valid)
        gone = sparsity(model(), base)
    np.testing.assert_allclose(logits, arrays("logits")[f"{subject}/test_logits"], atol=5e-6)
    measured = score(logits, test.labels, NAMES)
    assert measured.loss == pytest.approx(expected["loss"], rel=1e-6)
    assert exp_loss(valid_logits, valid.labels) == pytest.approx(expected["valid_perplexity"], rel=1e-6)
    assert measured.macro.model_dump() == {
        "precision": pytest.approx(expected["precision"], rel=1e-12),
        "recall": pytest.approx(expected["recall"], rel=1e-12),
        "f1": pytest.approx(expected["f1_score"], rel=1e-12),
    }
    assert classification_report(test.labels, logits.argmax(1), digits=4) == expected["report"]
    for row, stored in zip(measured.classes, expected["report_df"], strict=True):
        assert [round(row.precision, 4), round(row.recall, 4), round(row.f1, 4), row.support] == [
            stored[name] for name in ("precision", "recall", "f1-score", "support")
        ]
    assert gone.overall == pytest.approx(expected["sparsity_overall"], abs=1e-12)


@present
@pytest.mark.parametrize(("concern", "ratio"), [(0, 0.9), (3, 0.5)])
def test_legacy_similarity_is_the_seeds(concern, ratio):
    expected, valid = numbers("similarity_module_vs_model")[f"c{concern}_r{ratio}"], examples("valid")
    samples = draw_samples(valid.labels, concern, CLASSES, Sampling())
    base = hidden_states(model(), valid, samples, StatesWanted(pads="include"))
    with applied(model(), masks("alpha", "weights")[1][concern, ratio], anatomy(model())):
        found = compare(base, hidden_states(model(), valid, samples, StatesWanted(pads="include"))).legacy
    for side, name in ((found.concern, "concern"), (found.rest, "non_concern")):
        assert side.cca == pytest.approx(expected[f"cca_{name}"]["mean"][0], rel=1e-4)
        assert side.linear_cka == pytest.approx(expected[f"linear_cka_{name}"], rel=1e-6)
        assert side.kernel_cka == pytest.approx(expected[f"kernel_cka_{name}"], rel=1e-5)


def test_measures_of_plain_matrices_are_the_seeds():
    stored = arrays("similarity_matrices")
    for case, expected in numbers("similarity_random_matrices").items():
        function, names, *options = case.split("/")
        given = dict(option.split("=") for option in options)
        x, y = (stored[name.removesuffix(".T")].astype(np.float64) for name in names.split(","))
        x, y = (x.T, y.T) if ".T" in names else (x, y)
        if function == "linear_CKA":
            assert linear_cka(x, y) == pytest.approx(expected, rel=1e-6)
        elif function == "kernel_CKA":
            sigma = float(given["sigma"]) if "sigma" in given else None
            assert kernel_cka(x, y, sigma=sigma) == pytest.approx(expected, rel=1e-6)
        else:
            correlations = canonical_correlations(x.T, y.T, epsilon=float(given["eps"]))
            np.testing.assert_allclose(correlations, expected["coefs"], rtol=1e-6)
            if float(given["eps"]) == 1e-6:
                assert cca(x.T, y.T) == pytest.approx(expected["mean"], rel=1e-6)
