"""Which modules and options go together, before anything is queued."""

import pytest

from app.domain.combinations import Candidate, check_combination, check_same_inputs
from app.domain.errors import InvalidInput
from microlith.contract import CombineSpec

MODULES = [Candidate("act", "neurons", "text"), Candidate("food", "neurons", "text")]


def wanted(mode="class_set", **more):
    ids = [f"mod_{'0' * 25}{place}" for place in "12"]
    return CombineSpec.model_validate({"mode": mode, "modules": ids, "dataset": "demo:d"} | more)


def refused(order, modules):
    with pytest.raises(InvalidInput) as raised:
        check_combination(order, modules)
    assert raised.value.hint
    return raised.value.pointer, str(raised.value)


def test_what_goes_together_is_let_through():
    check_combination(wanted(recovery="refit", export={"layouts": ["mask", "onnx"], "onnx": {"int8": True}}), MODULES)
    check_combination(wanted("recompose"), [MODULES[0], Candidate("food", "heads", "text")])


def test_a_label_that_comes_twice_is_named():
    assert refused(wanted("recompose"), [MODULES[0]] * 2) == ("/modules", "More than one module answers 'act'.")


@pytest.mark.parametrize("mode", ["class_set", "recompose"])
def test_texts_and_images_do_not_mix(mode):
    pointer, says = refused(wanted(mode), [MODULES[0], Candidate("8", "neurons", "image")])
    assert pointer == "/modules"
    assert "'act' read texts, those of '8' read images" in says


@pytest.mark.parametrize("mode", ["class_set", "recompose"])
def test_pairs_and_single_texts_do_not_mix(mode):
    pointer, says = refused(wanted(mode), [MODULES[0], Candidate("same", "neurons", "text", pairs=True)])
    assert pointer == "/modules"
    assert "'same' read pairs of texts, those of 'act' single texts" in says


@pytest.mark.parametrize(
    ("modules", "pointer"), [(True, "/dataset"), (False, "/dataset/text_pair_column")], ids=["pairs", "single texts"]
)
def test_data_is_read_as_the_modules_read_it(modules, pointer):
    check_same_inputs(modules=modules, data=modules)
    with pytest.raises(InvalidInput) as raised:
        check_same_inputs(modules=modules, data=not modules)
    assert raised.value.pointer == pointer


def test_a_class_set_is_of_one_structure():
    pointer, says = refused(wanted(), [MODULES[0], Candidate("food", "weights", "text")])
    assert (pointer, "neurons, weights" in says) == ("/modules", True)


@pytest.mark.parametrize("recovery", ["bias", "refit"])
def test_modules_that_have_lost_whole_layers_alone_have_nothing_else_to_mend(recovery):
    layers = [Candidate(module.label, "layers", "text") for module in MODULES]
    assert refused(wanted(recovery=recovery), layers)[0] == "/recovery"
    check_combination(wanted(recovery="none"), layers)
    check_combination(wanted(recovery=recovery), [Candidate(m.label, "layers+neurons", "text") for m in MODULES])


def test_modules_that_have_learned_do_not_take_their_bases_weights_back():
    learned = [Candidate("act", "neurons", "text", recovery="distil"), MODULES[1]]
    pointer, says = refused(wanted(), learned)
    assert pointer == "/modules"
    assert "'act'" in says
    check_combination(wanted("recompose"), learned)


def test_a_recomposed_classifier_takes_neither_layouts_nor_recovery():
    assert refused(wanted("recompose", export={"layouts": ["portable"]}), MODULES)[0] == "/export"
    assert refused(wanted("recompose", recovery="none"), MODULES)[0] == "/recovery"


def test_int8_is_a_form_of_onnx():
    assert refused(wanted(export={"layouts": ["mask"], "onnx": {"int8": True}}), MODULES)[0] == "/export/onnx/int8"


def test_a_class_set_keeps_its_base_s_vocabulary():
    pointer, says = refused(wanted(export={"vocabulary": {"trim": True}}), MODULES)
    assert (pointer, "whole vocabulary" in says) == ("/export/vocabulary/trim", True)
