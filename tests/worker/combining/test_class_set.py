from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from combining_builders import LABELS, neuron_mask, origin, part, rows, spec, weight_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification

from app.domain.errors import InvalidInput
from tests.builders import tiny_bert, tiny_distilbert, tiny_model
from worker.combining.class_set import class_set
from worker.combining.class_set_recovery import PER_CLASS
from worker.combining.combined_classifier import CombinationPass, Data
from worker.combining.mask_union import union
from worker.combining.recomposed_folder import deliver
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask, applied, kept_blocks
from worker.pruning.surgery import realised

BITS = st.lists(st.booleans(), min_size=11, max_size=11)


@given(BITS, BITS, BITS)
@settings(max_examples=50)
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


def test_what_recovery_changed_for_one_module_is_not_in_the_union():
    whole, less = Bits.pack(np.array([True, True])), Bits.pack(np.array([True, False]))
    masks = [
        Mask("neurons", neurons={"a": bits}, tensors={"layer.bias": np.ones(2, np.float32)}) for bits in (whole, less)
    ]
    assert union(masks) == Mask("neurons", neurons={"a": whole})


@pytest.mark.parametrize(("masked", "recovery"), [(weight_mask, "bias"), (neuron_mask, "bias"), (neuron_mask, "refit")])
def test_a_mended_union_answers_more_like_its_base(masked, recovery):
    base, validation = origin(tiny_bert()), rows(200)
    parts = [part(base, label, masked(base, seed=seed)) for seed, label in enumerate(("act", "food"))]
    examples = base.encoder(validation.among(["act", "food"]).inputs)
    wanted = predict(base.model, examples)[:, [0, 2]]
    made = {way: class_set(parts, way, validation) for way in ("none", recovery)}
    apart = {way: np.square(predict(one.model, examples) - wanted).mean() for way, one in made.items()}
    assert apart[recovery] < apart["none"]
    assert replace(made[recovery].mask, tensors={}) == made["none"].mask


def test_a_class_set_of_modules_without_a_layer_is_a_model_of_fewer_layers_whose_head_is_solved(tmp_path):
    base, validation = origin(tiny_model("bert", blocks=3)), rows(200)
    mask = Mask("layers", layers=kept_blocks(base.anatomy, [base.anatomy.blocks[1]]))
    parts = [part(base, label, mask) for label in ("act", "food")]
    made = class_set(parts, "none", validation)
    examples = base.encoder(validation.among(["act", "food"]).inputs)
    wanted = predict(base.model, examples)[:, [0, 2]]
    with realised(base.model, mask, base.anatomy) as module:
        plain = predict(module, examples)[:, [0, 2]]
    assert np.square(predict(made.model, examples) - wanted).mean() < np.square(plain - wanted).mean()
    made.model.save_pretrained(tmp_path)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert opened.config.num_hidden_layers == 2
    np.testing.assert_allclose(predict(opened, examples), predict(made.model, examples), atol=1e-5)


def test_recovery_is_counted_in_the_rows_and_told(tmp_path):
    base, heard, data = origin(tiny_bert()), [], Data(rows(300), rows(40, seed=1))
    parts = [part(base, label, weight_mask(base, seed=seed)) for seed, label in enumerate(("act", "food"))]
    asked = spec("class_set", recovery="bias")
    told = CombinationPass(asked, parts, data).run(heard.append).combination
    assert told.recovery == "bias"
    assert heard[-1] == max(heard) == CombinationPass(asked, parts, data).rows == 2 * PER_CLASS + 2 * 20


def test_a_binary_heads_threshold_does_not_carry_over_and_that_is_told():
    base = origin(tiny_bert())
    parts = [replace(part(base, label, weight_mask(base)), answer=1) for label in ("act", "food")]
    assert "base's own rows of the head" in class_set(parts).notes[0]


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
    CombinationPass(spec("class_set"), parts, Data(rows(), rows(seed=1))).run()
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
    combined = CombinationPass(spec("class_set"), parts, data).run(heard.append)
    measured = combined.combination.comparison
    assert combined.combination.labels == ["act", "food"]
    assert measured.rows == 20
    assert measured.accuracy.difference.value == measured.accuracy.difference.high == 0
    chosen = test.among(["act", "food"])
    logits = predict(base.model, base.encoder(chosen.inputs))[:, [0, 2]]
    assert measured.accuracy.reference.value == pytest.approx((logits.argmax(1) == chosen.ids(["act", "food"])).mean())
    assert heard[-1] == max(heard) == CombinationPass(spec("class_set"), parts, data).rows


def test_a_class_set_has_layouts_of_its_own_and_no_graph_of_parts(tmp_path):
    base, data = origin(tiny_bert()), Data(rows(), rows(seed=1))
    parts = [part(base, label, weight_mask(base, seed=seed)) for seed, label in enumerate(("act", "body"))]
    with pytest.raises(InvalidInput, match="ordinary model"):
        deliver(CombinationPass(spec("class_set"), parts, data).run(), tmp_path)
