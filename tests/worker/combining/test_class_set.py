from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from combining_builders import LABELS, origin, part, rows, spec, weight_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from app.domain.errors import InvalidInput, UnsupportedModel
from tests.builders import tiny_bert, tiny_distilbert, tiny_model, tiny_pixels
from worker.combining.class_set import class_set
from worker.combining.delivery import deliver
from worker.combining.parts import Origin, Rows
from worker.combining.story import Data, combine, rows_to_run
from worker.combining.union import union
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.surgery import realised

BITS = st.lists(st.booleans(), min_size=11, max_size=11)


@given(BITS, BITS, BITS)
@settings(deadline=None, max_examples=50)
def test_the_union_keeps_what_any_mask_keeps_and_nothing_else(one, two, three):
    masks = [Mask("neurons", neurons={"block": Bits.pack(np.array(bits))}) for bits in (one, two, three)]
    found = union(masks).neurons["block"].unpack()
    assert found.tolist() == [any(unit) for unit in zip(one, two, three, strict=True)]


def test_what_one_mask_does_not_name_is_kept_whole():
    bits = Bits.pack(np.array([True, False]))
    other = Bits.pack(np.array([False, False]))
    both = union([Mask("heads", heads={"a": bits, "b": bits}), Mask("heads", heads={"a": other})])
    assert set(both.heads) == {"a"}
    assert both.heads["a"].unpack().tolist() == [True, False]


def test_masks_of_unlike_structures_are_refused():
    bits = {"a": Bits.pack(np.array([True, False]))}
    with pytest.raises(InvalidInput, match="different kinds of units: heads, neurons"):
        union([Mask("heads", heads=bits), Mask("neurons", neurons=bits)])


def test_recovery_stays_where_all_masks_are_one_and_goes_where_they_differ():
    whole, less = Bits.pack(np.array([True, True])), Bits.pack(np.array([True, False]))
    bias = {"layer": np.ones(2, np.float32)}
    mended = Mask("neurons", neurons={"a": less}, biases=bias)
    assert union([mended, mended]).biases == bias
    assert not union([mended, Mask("neurons", neurons={"a": whole}, biases=bias)]).biases


def test_recovery_that_does_not_carry_over_is_told():
    base = origin(tiny_bert())
    masks = [weight_mask(base, seed=seed) for seed in (1, 2)]
    bias = {base.anatomy.feed_forwards[0].output: np.ones(16, np.float32)}
    made = class_set([part(base, "act", replace(masks[0], biases=bias)), part(base, "food", masks[1])])
    assert "Recovery of the single modules does not carry over" in made.notes[0]


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_a_class_set_of_all_concerns_with_equal_masks_is_the_masked_model(family):
    base = origin(tiny_model(family))
    mask, examples = weight_mask(base), base.encoder(rows(12).inputs)
    made = class_set([part(base, label, mask) for label in LABELS])
    with applied(base.model, mask, base.anatomy) as masked:
        expected = predict(masked, examples)
    np.testing.assert_array_equal(predict(made.model, examples), expected)


def test_its_logits_are_the_chosen_columns_in_the_bases_order_and_it_opens_plainly(tmp_path):
    base = origin(tiny_distilbert())
    parts = [part(base, label, weight_mask(base, seed=seed)) for seed, label in enumerate(("plant", "act", "food"))]
    made, examples = class_set(parts), base.encoder(rows(12).inputs)
    with realised(base.model, made.mask, base.anatomy) as module:
        expected = predict(module, examples)[:, [0, 2, 3]]
    np.testing.assert_allclose(predict(made.model, examples), expected, atol=1e-6)
    made.model.save_pretrained(tmp_path)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert opened.config.id2label == {0: "act", 1: "food", 2: "plant"}
    np.testing.assert_allclose(predict(opened, examples), expected, atol=1e-6)


def test_neurons_that_no_module_keeps_are_gone():
    base = origin(tiny_bert())
    blocks = [block.block for block in base.anatomy.feed_forwards]
    kept = np.arange(24) < 8
    masks = [Mask("neurons", neurons={name: Bits.pack(bits) for name in blocks}) for bits in (kept, np.roll(kept, 4))]
    made = class_set([part(base, "act", masks[0]), part(base, "body", masks[1])])
    assert anatomy(made.model).neurons(anatomy(made.model).feed_forwards[0]) == 12
    assert base.model.config.intermediate_size == 24


def test_the_base_is_whole_after_it_and_shares_no_changed_tensor():
    base = origin(tiny_bert())
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    parts = [part(base, label, weight_mask(base, seed=3)) for label in LABELS[:2]]
    combine(spec("class_set"), parts, Data(rows(), rows(seed=1)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())


def test_modules_of_another_base_are_refused_with_both_named():
    one, other = origin(tiny_bert(), ref="demo:one"), origin(tiny_bert(seed=1), ref="demo:other")
    parts = [part(one, "act", weight_mask(one)), part(other, "food", weight_mask(other))]
    with pytest.raises(InvalidInput, match=r"modules of one base; these are of 2: demo:one .* demo:other") as refused:
        class_set(parts)
    assert "recompose" in str(refused.value.hint)


def test_a_module_without_a_mask_and_a_concern_that_comes_twice_are_refused():
    base = origin(tiny_bert())
    with pytest.raises(InvalidInput, match="comes without its mask"):
        class_set([part(base, "act", weight_mask(base)), part(base, "food")])
    with pytest.raises(InvalidInput, match="More than one module answers 'act'"):
        class_set([part(base, "act", weight_mask(base))] * 2)
    with pytest.raises(InvalidInput, match="two concerns or more"):
        class_set([part(base, "act", weight_mask(base))])


def test_it_is_measured_on_its_classes_beside_the_base_restricted_to_them():
    base, test = origin(tiny_bert()), rows(40, seed=1)
    nothing_removed = weight_mask(base, kept=1.1)
    parts, data, heard = [part(base, label, nothing_removed) for label in ("food", "act")], Data(rows(), test), []
    combined = combine(spec("class_set"), parts, data, checkpoint=heard.append)
    measured = combined.combination.comparison
    assert combined.combination.labels == ["act", "food"]
    assert measured.rows == 20
    assert measured.accuracy.difference.value == measured.accuracy.difference.high == 0
    chosen = test.among(["act", "food"])
    logits = predict(base.model, base.encoder(chosen.inputs))[:, [0, 2]]
    assert measured.accuracy.reference.value == pytest.approx((logits.argmax(1) == chosen.ids(["act", "food"])).mean())
    assert heard[-1] == max(heard) == rows_to_run(spec("class_set"), parts, data)


def test_images_have_class_sets_and_no_recomposition(tmp_path):
    pixels = tiny_pixels(24)
    base = Origin("demo:vit", tiny_model("vit"), LABELS, lambda rows: pixels.take(list(rows)))
    data = Data(Rows(range(24), LABELS * 6), Rows(range(24), LABELS * 6))
    parts = [part(base, label, weight_mask(base, seed=seed)) for seed, label in enumerate(("act", "body", "plant"))]
    combined = combine(spec("class_set"), parts, data)
    assert combined.combination.comparison.rows == 18
    assert combined.class_set.model.config.id2label == {0: "act", 1: "body", 2: "plant"}
    with pytest.raises(UnsupportedModel, match="has no tokenizer"):
        deliver(combine(spec(), parts, data), tmp_path)
    with pytest.raises(InvalidInput, match="ordinary model"):
        deliver(combined, tmp_path)
