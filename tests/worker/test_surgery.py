"""Removing by index is the same as zeroing, in every family, in memory and after re-opening."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from tests.builders import KINDS, examples_for, tiny_bert, tiny_model
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.surgery import realised, shrink

every_family = pytest.mark.parametrize("kind", KINDS)
SOME = np.random.default_rng(1).random((2, 24)) < [[0.4], [0.7]]
HEADS = np.array([[True, False, False, True], [False, True, True, True]])


def mask_of(model, *kept, heads=(), **more):
    """A mask of the first blocks: a boolean row each for their neurons, and for their heads."""
    parts = anatomy(model)
    neurons = {part.block: Bits.pack(row) for part, row in zip(parts.feed_forwards, kept, strict=False)}
    by_block = {part.block: Bits.pack(row) for part, row in zip(parts.attentions, heads, strict=False)}
    return Mask("heads+neurons" if len(heads) else "neurons", neurons=neurons, heads=by_block, **more)


def widths(model):
    parts = anatomy(model)
    return [linear(model, part.output).in_features for part in parts.feed_forwards]


def first(count):
    return np.arange(24) < count


def reopened(model, folder):
    model.save_pretrained(folder)
    vit = model.config.model_type == "vit"
    kind = AutoModelForImageClassification if vit else AutoModelForSequenceClassification
    opened, loading = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[fault] for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(opened) is type(model)
    return opened.eval()


@every_family
def test_the_shrunk_model_answers_as_the_masked_one_and_opens_again_alike(kind, tmp_path):
    model, examples = tiny_model(kind), examples_for(kind)
    mask = mask_of(model, *SOME)
    kept = [int(row.sum()) for row in SOME[: len(mask.neurons)]]
    with applied(model, mask, anatomy(model)):
        expected = predict(model, examples)
    assert np.abs(expected - predict(model, examples)).max() > 0.05
    shrunk = shrink(model, mask, anatomy(model))
    np.testing.assert_allclose(predict(shrunk, examples), expected, atol=1e-5)
    assert set(widths(shrunk)) == {max(kept)} == {getattr(shrunk.config, anatomy(model).family.width)}
    opened = reopened(shrunk, tmp_path)
    assert widths(opened) == widths(shrunk)
    np.testing.assert_array_equal(predict(opened, examples), predict(shrunk, examples))


@every_family
def test_removed_neurons_write_nothing(kind):
    """The masked model equals one whose neurons are silenced where they are read."""
    model, examples = tiny_model(kind), examples_for(kind)
    part, gone = anatomy(model).feed_forwards[0], ~SOME[0]
    with applied(model, mask_of(model, SOME[0]), anatomy(model)):
        masked = predict(model, examples)
    hook = linear(model, part.output).register_forward_pre_hook(
        lambda _module, inputs: inputs[0].masked_fill(torch.from_numpy(gone), 0.0)
    )
    np.testing.assert_allclose(predict(model, examples), masked, atol=1e-5)
    hook.remove()


@every_family
def test_removed_heads_write_nothing(kind):
    """The masked model equals one whose heads are silenced where they are read; biases of their rows are gone too."""
    model, examples, parts = tiny_model(kind), examples_for(kind), anatomy(tiny_model(kind))
    mask = mask_of(model, heads=HEADS[:1])
    with applied(model, mask, parts):
        masked = predict(model, examples)
        for name, rows in parts.head_rows(parts.attentions[0], 1, 2):
            layer = linear(model, name)
            assert not layer.weight[rows].any()
            assert layer.bias is None or not layer.bias[rows].any()
    assert np.abs(masked - predict(model, examples)).max() > 0.05
    silent = torch.from_numpy(np.repeat(~HEADS[0], 4))
    hook = linear(model, parts.attentions[0].output).register_forward_pre_hook(
        lambda _module, inputs: inputs[0].masked_fill(silent, 0.0)
    )
    np.testing.assert_allclose(predict(model, examples), masked, atol=1e-5)
    hook.remove()


@every_family
def test_heads_at_zero_open_again_with_the_same_answers(kind, tmp_path):
    model, examples = tiny_model(kind), examples_for(kind)
    own = predict(model, examples)
    with realised(model, mask_of(model, heads=HEADS), anatomy(model)) as module:
        assert module is model
        expected = predict(module, examples)
        opened = reopened(module, tmp_path)
    np.testing.assert_array_equal(predict(opened, examples), expected)
    np.testing.assert_array_equal(predict(model, examples), own)


@every_family
def test_a_chain_removes_heads_in_place_and_neurons_for_good(kind, tmp_path):
    model, examples, parts = tiny_model(kind), examples_for(kind), anatomy(tiny_model(kind))
    mask = mask_of(model, *SOME, heads=HEADS)
    with applied(model, mask, parts):
        expected = predict(model, examples)
    with realised(model, mask, parts) as module:
        np.testing.assert_allclose(predict(module, examples), expected, atol=1e-5)
    assert module is not model
    np.testing.assert_allclose(predict(reopened(module, tmp_path), examples), expected, atol=1e-5)
    for name, rows in parts.head_rows(parts.attentions[0], 1, 2):
        assert not linear(module, name).weight[rows].any()


@settings(max_examples=10)
@given(kept=arrays(bool, (2, 24)).filter(lambda kept: kept.any(axis=1).all()), kind=st.sampled_from(["bert", "llama"]))
def test_any_choice_of_neurons_goes_by_index(kept, kind):
    model, examples = tiny_model(kind), examples_for(kind)
    mask = mask_of(model, *kept)
    shrunk = shrink(model, mask, anatomy(model))
    with applied(model, mask, anatomy(model)):
        expected = predict(model, examples)
    np.testing.assert_allclose(predict(shrunk, examples), expected, atol=1e-5)
    assert widths(shrunk) == [kept.sum(axis=1).max()] * 2


def test_neurons_are_gone_by_index_so_a_zero_neuron_that_is_kept_stays():
    """Defect 7: the seed drops every row that happens to be zero, and matches columns by zeros."""
    model = tiny_bert()
    part = anatomy(model).feed_forwards[0]
    linear(model, part.intermediate).weight.data[2] = 0.0
    linear(model, part.output).weight.data[:, 2] = 0.0
    shrunk = shrink(model, mask_of(model, first(20), first(20)), anatomy(model))
    assert widths(shrunk) == [20, 20]
    assert not linear(shrunk, part.intermediate).weight[2].any()
    assert linear(shrunk, part.intermediate).bias[2] == linear(model, part.intermediate).bias[2] != 0


def test_a_block_without_a_mask_keeps_its_width_and_sets_that_of_all():
    model = tiny_bert()
    shrunk = shrink(model, mask_of(model, first(5)), anatomy(model))
    assert widths(shrunk) == [24, 24]
    part = anatomy(model).feed_forwards[0]
    assert not linear(shrunk, part.intermediate).weight[5:].any()


def test_biases_that_recovery_changed_are_the_shrunk_models(tmp_path):
    model = tiny_bert()
    part = anatomy(model).feed_forwards[1]
    mended = np.linspace(-1, 1, 16, dtype=np.float32)
    mask = mask_of(model, first(9), first(7), tensors={f"{part.output}.bias": mended})
    shrunk = shrink(model, mask, anatomy(model))
    np.testing.assert_array_equal(linear(shrunk, part.output).bias.detach(), mended)
    np.testing.assert_array_equal(linear(reopened(shrunk, tmp_path), part.output).bias.detach(), mended)


@pytest.mark.parametrize("heads", [(), HEADS], ids=["neurons", "heads+neurons"])
def test_the_base_is_left_as_it_was_and_shares_what_surgery_leaves_alone(heads):
    model = tiny_bert()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    shrunk = shrink(model, mask_of(model, first(3), first(4), heads=heads), anatomy(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.config.intermediate_size == 24
    assert shrunk.bert.embeddings.word_embeddings.weight is model.bert.embeddings.word_embeddings.weight
    changed = {name.rsplit(".", 1)[0] for name, p in shrunk.named_parameters() if p is not dict_of(model).get(name)}
    parts = anatomy(model)
    pruned = [*parts.feed_forwards, *(parts.attentions if len(heads) else ())]
    assert changed == {name for part in pruned for name in part.layers}


def dict_of(model):
    return dict(model.named_parameters())
