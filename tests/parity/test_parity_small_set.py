"""What a clone alone can compare with the seed system: each function, given the seed's own intermediate numbers."""

import json

import numpy as np
import pytest
import torch

from tests.parity import cut
from tests.parity.reference import CONCERNS, present
from worker.evaluation.report import score
from worker.pruning.scores import plain, wanda
from worker.pruning.scores.ci import Contrast, coefficient, weight_scores
from worker.pruning.selection import lowest

RATIOS = (0.3, 0.5, 0.9)
NEAR_TIES = 4
"""Entries of a layer that may fall the other way: a last bit decides them."""


def arrays(name):
    with np.load(cut.SMALL / f"{name}.npz", allow_pickle=False) as stored:
        return dict(stored)


def numbers(name):
    return json.loads((cut.SMALL / f"{name}.json").read_text(encoding="utf-8"))


def weight():
    """The first rows of the layer's weight [rows, in]."""
    return torch.from_numpy(arrays("weights")[cut.LAYER])


def stored_contrast(concern):
    """How features react to a concern, as the seed measured it."""
    stored = arrays("ci_unstructed")
    names = ("concern_norm", "non_concern_norm", "cosine")
    return Contrast(*(torch.from_numpy(stored[f"c{concern}/stats/{cut.LAYER}.{name}"]) for name in names))


def stored_coefficient(concern, form):
    if form == "sine":
        return arrays("ci_sine")[f"c{concern}/{cut.LAYER}/coefficient"]
    return arrays("ci_unstructed")[f"c{concern}/stats/{cut.LAYER}.coefficient"]


def stored_mask(concern, ratio, form):
    if form == "sine":
        return arrays("ci_sine")[f"c{concern}/r{ratio}/{cut.LAYER}/mask"]
    return arrays("ci_unstructed")[f"c{concern}/r{ratio}/{cut.LAYER}.mask"]


@pytest.mark.parametrize("form", ["sine", "alpha"])
@pytest.mark.parametrize("concern", CONCERNS)
def test_the_seeds_norms_and_angles_make_its_coefficients(concern, form):
    found = coefficient(stored_contrast(concern), form).numpy()
    np.testing.assert_allclose(found, stored_coefficient(concern, form), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["sine", "alpha"])
@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_the_seeds_coefficients_make_its_masks(concern, ratio, form):
    scores = weight_scores(weight(), torch.from_numpy(stored_coefficient(concern, form))).numpy()
    (kept,) = lowest(scores, [int(scores.shape[1] * ratio)])
    assert (kept != stored_mask(concern, ratio, form)).sum() <= NEAR_TIES


def test_the_seeds_input_norms_make_its_masks_of_wanda():
    stored = arrays("wanda_magnitude_normdist")
    norms = torch.from_numpy(stored[f"wanda_r0.4/ffn/{cut.LAYER}.scaler_row_last_batch"]).sqrt()
    scores = wanda.weight_scores(weight(), norms).numpy()
    (kept,) = lowest(scores, [int(scores.shape[1] * 0.4)])
    np.testing.assert_array_equal(kept, stored[f"wanda_r0.4/ffn/{cut.LAYER}.mask"])


def test_weights_alone_make_the_seeds_masks_of_z_scores():
    kept = plain.quantile_kept(plain.zscore(weight()), 0.4).numpy()
    np.testing.assert_array_equal(kept, arrays("wanda_magnitude_normdist")[f"normdist_r0.4/ffn/{cut.LAYER}.mask"])


def test_the_seeds_logits_make_its_report():
    expected = numbers("evaluate")[cut.SUBJECT]
    labels = arrays("dataset")["test_labels"].astype(np.int64)
    measured = score(arrays("logits")[f"{cut.SUBJECT}/test_logits"], labels, [str(label) for label in range(10)])
    assert measured.loss == pytest.approx(expected["loss"], rel=1e-6)
    assert measured.macro.f1 == pytest.approx(expected["f1_score"], rel=1e-12)
    for row, stored in zip(measured.classes, expected["report_df"], strict=True):
        assert [round(row.precision, 4), round(row.recall, 4), round(row.f1, 4), row.support] == [
            stored[name] for name in ("precision", "recall", "f1-score", "support")
        ]


@present
def test_the_small_set_is_cut_out_of_the_whole_one():
    for name, expected in cut.arrays().items():
        stored = arrays(name)
        assert list(stored) == list(expected)
        for key, array in expected.items():
            np.testing.assert_array_equal(stored[key], array, strict=True)
    for name, document in cut.numbers().items():
        assert numbers(name) == document
    for name in cut.TOKENIZER:
        assert (cut.SMALL / "model" / name).read_bytes() == (cut.WHOLE / "model" / name).read_bytes()
