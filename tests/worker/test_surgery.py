import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from transformers import AutoModelForSequenceClassification

from tests.builders import tiny_bert, tiny_distilbert, tiny_examples
from worker.evaluation.runner import predict
from worker.families.layers import family_of_model, feed_forwards, linear
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.surgery import shrink


def mask_of(model, *kept):
    """A neurons mask of the first blocks, one boolean row each."""
    pairs = feed_forwards(model, family_of_model(model))[: len(kept)]
    layers = {pair.intermediate: Bits.pack(row) for pair, row in zip(pairs, kept, strict=True)}
    return Mask("neurons", layers, {pair.intermediate: pair.output for pair in pairs})


def widths(model):
    return [linear(model, pair.intermediate).out_features for pair in feed_forwards(model, family_of_model(model))]


def first(count):
    return np.arange(24) < count


@settings(max_examples=10, deadline=None)
@given(kept=arrays(bool, (2, 24)).filter(lambda kept: kept.any(axis=1).all()), distil=st.booleans())
def test_the_shrunk_model_answers_as_the_masked_one(kept, distil):
    model = tiny_distilbert() if distil else tiny_bert()
    mask = mask_of(model, *kept)
    examples = tiny_examples(16)
    shrunk = shrink(model, mask, family_of_model(model))
    with applied(model, mask):
        expected = predict(model, examples)
    np.testing.assert_allclose(predict(shrunk, examples), expected, atol=1e-5)
    assert widths(shrunk) == [kept.sum(axis=1).max()] * 2


def test_neurons_are_gone_by_index_so_a_zero_neuron_that_is_kept_stays():
    """Defect 7: the seed drops every row that happens to be zero, and matches columns by zeros."""
    model = tiny_bert()
    pair = feed_forwards(model, family_of_model(model))[0]
    linear(model, pair.intermediate).weight.data[2] = 0.0
    linear(model, pair.output).weight.data[:, 2] = 0.0
    shrunk = shrink(model, mask_of(model, first(20), first(20)), family_of_model(model))
    assert widths(shrunk) == [20, 20]
    assert not linear(shrunk, pair.intermediate).weight[2].any()
    assert linear(shrunk, pair.intermediate).bias[2] == linear(model, pair.intermediate).bias[2] != 0


def test_a_block_without_a_mask_keeps_its_width_and_sets_that_of_all():
    model = tiny_bert()
    shrunk = shrink(model, mask_of(model, first(5)), family_of_model(model))
    assert widths(shrunk) == [24, 24]
    pair = feed_forwards(model, family_of_model(model))[0]
    assert not linear(shrunk, pair.intermediate).weight[5:].any()


@pytest.mark.parametrize("model", [tiny_bert(), tiny_distilbert()], ids=["bert", "distilbert"])
def test_the_shrunk_model_opens_with_plain_from_pretrained(model, tmp_path):
    shrunk = shrink(model, mask_of(model, first(9), first(7)), family_of_model(model))
    shrunk.save_pretrained(tmp_path)
    opened = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert type(opened) is type(model)
    assert widths(opened) == [9, 9]
    examples = tiny_examples(16)
    np.testing.assert_array_equal(predict(opened, examples), predict(shrunk, examples))


def test_the_base_is_left_as_it_was():
    model = tiny_bert()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    shrink(model, mask_of(model, first(3), first(4)), family_of_model(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.config.intermediate_size == 24
