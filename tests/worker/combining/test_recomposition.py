from __future__ import annotations

import numpy as np
import pytest
from combining_builders import LABELS, origin, part, rows, spec, weight_mask

from app.domain.errors import NotEnoughSamples
from tests.builders import tiny_bert, tiny_distilbert
from worker.combining.combined_classifier import CombinationPass, Data, restricted_answers
from worker.combining.parts import LabelledRows, ModulePart
from worker.combining.recomposition import recompose
from worker.combining.scores import log_odds, scores_of, voices
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.runner import predict


def test_unpruned_modules_without_calibration_answer_as_their_base_does():
    base, texts = origin(tiny_bert()), rows(60).inputs
    made = recompose([part(base, label) for label in LABELS], rows(), "none", "argmax")
    places = made.answers(made.scores(texts)).argmax(axis=1)
    np.testing.assert_array_equal(places, predict(base.model, base.encoder(texts)).argmax(axis=1))


def test_each_module_speaks_for_its_own_concern_by_name_whatever_its_models_order():
    base, other = origin(tiny_bert()), origin(tiny_distilbert(classes=3), ["plant", "stone", "act"], shift=5)
    texts = rows().inputs
    scores = scores_of([part(base, "food"), part(other, "act")], texts)
    np.testing.assert_allclose(scores[:, 0], log_odds(predict(base.model, base.encoder(texts)), 2))
    np.testing.assert_allclose(scores[:, 1], log_odds(predict(other.model, other.encoder(texts)), 2))


def test_a_module_of_a_binary_head_speaks_by_its_two_logits():
    base, texts = origin(tiny_bert()), rows().inputs
    binary = with_binary_head(base.model, BinaryHead("classifier", 1, "body"), threshold=0.25)
    own = part(base, "body")
    scores = scores_of([ModulePart(base, own.concern, module=binary, answer=1)], texts)[:, 0]
    logits = predict(base.model, base.encoder(texts)).astype(float)
    margin = logits[:, 1] - logits[:, [0, 2, 3]].mean(axis=1)
    np.testing.assert_allclose(scores, margin - 0.25, atol=1e-5)


def test_a_model_that_several_parts_share_runs_once():
    base, heard = origin(tiny_bert()), []
    mask = weight_mask(base)
    parts = [part(base, "act"), part(base, "body"), part(base, "food", mask), part(base, "plant", mask)]
    assert voices(parts) == 2
    scores_of(parts, rows(10).inputs, checkpoint=heard.append)
    assert heard[-1] == max(heard) == 20


def test_a_replacement_is_measured_beside_the_model_that_most_parts_are_of():
    tiny, other = origin(tiny_bert(), ref="demo:a"), origin(tiny_distilbert(), shift=5, ref="demo:b")
    parts = [*(part(tiny, label) for label in LABELS[:3]), part(other, "plant", weight_mask(other))]
    data, heard = Data(rows(), rows(30, seed=1)), []
    told = CombinationPass(spec(), parts, data).run(heard.append).combination
    assert told.comparison.reference == "demo:a"
    assert [concern.model for concern in told.comparison.concerns] == ["demo:a"] * 3 + ["demo:b"]
    own = restricted_answers(tiny, data.test.inputs, LABELS).argmax(axis=1)
    assert told.comparison.accuracy.reference.value == pytest.approx((own == data.test.ids(LABELS)).mean())
    assert heard[-1] == max(heard) == CombinationPass(spec(), parts, data).rows
    assert set(told.cross_validated) == {"joint", "platt", "temperature", "none"}


def test_rows_of_other_labels_are_left_out_and_a_reference_that_lacks_a_label_is_said_so():
    one, other = origin(tiny_bert()), origin(tiny_distilbert(), ["stone", "air", "fire", "sea"], ref="demo:b")
    data = Data(rows(60, [*LABELS, "stone"]), rows(50, [*LABELS, "stone"], seed=1))
    parts = [part(one, "act"), part(one, "food"), part(other, "stone")]
    told = CombinationPass(spec(), parts, data).run().combination
    assert told.comparison.rows == 30
    assert told.comparison.concerns[2].f1.reference.value == 0
    assert told.notes == ["demo:tiny, which this is compared with, does not know stone: its F1 there is 0."]


def test_under_thresholds_every_concern_decides_alone():
    base = origin(tiny_bert())
    made = recompose([part(base, label) for label in LABELS], rows(80), "platt", "threshold")
    scores = made.scores(rows(80).inputs)
    np.testing.assert_array_equal(made.answers(scores), scores >= made.thresholds)
    assert set(made.answers(scores).sum(axis=1)) != {1}


def test_a_label_without_validation_examples_cannot_be_calibrated():
    base = origin(tiny_bert())
    few = LabelledRows(["w1", "w2"], ["act", "act"])
    with pytest.raises(NotEnoughSamples, match="no example of 'food'"):
        recompose([part(base, "act"), part(base, "food")], few, "platt", "argmax")


def test_data_without_any_of_the_concerns_is_refused():
    base = origin(tiny_bert())
    foreign = rows(10, ["stone", "sea"])
    with pytest.raises(NotEnoughSamples, match="has no example of the modules' concerns"):
        CombinationPass(spec(), [part(base, "act"), part(base, "food")], Data(foreign, foreign)).run()
