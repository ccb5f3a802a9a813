"""Narrow modules: what was removed is gone, block by block, and the answers stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.builders import KINDS, examples_for, tiny_model
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.narrowing import narrow, removable_heads
from worker.pruning.surgery import realised

every_family = pytest.mark.parametrize("kind", KINDS)
NEURONS = (7, 13)
"""How many of 24 the first and the second block keep."""


def mask_of(parts, neurons=NEURONS, heads=()):
    kept = {part.block: Bits.pack(np.arange(24) >= 24 - neurons[i % 2]) for i, part in enumerate(parts.feed_forwards)}
    bits = {part.block: Bits.pack(np.array(heads[i % 2], bool)) for i, part in enumerate(parts.attentions) if heads}
    return Mask("heads+neurons", neurons=kept if neurons else {}, heads=bits)


def narrowed(kind, mask, parts, model, examples):
    """The narrow module and its logits, beside the masked model's."""
    with applied(model, mask, parts):
        expected = predict(model, examples)
    with realised(model, mask, parts) as module:
        made = narrow(module, mask, parts)
    return made, predict(made.model, examples), expected


@every_family
def test_every_block_is_as_narrow_as_its_own_mask_and_answers_alike(kind):
    model, examples = tiny_model(kind), examples_for(kind)
    parts = anatomy(model)
    made, found, expected = narrowed(kind, mask_of(parts, heads=[[1, 1, 0, 0], [0, 0, 0, 1]]), parts, model, examples)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for i, part in enumerate(parts.feed_forwards):
        assert linear(made.model, part.output).in_features == NEURONS[i % 2]
    for i, part in enumerate(parts.attentions):
        kept = 4 if parts.heads_stay else (2, 1)[i % 2]
        assert linear(made.model, part.output).in_features == 4 * kept


@settings(max_examples=15)
@given(
    heads=arrays(bool, (2, 4)),
    neurons=st.tuples(st.integers(0, 24), st.integers(1, 24)),
    kind=st.sampled_from(["bert", "llama", "qwen2", "modernbert"]),
)
def test_any_choice_of_heads_and_neurons_keeps_the_answers(heads, neurons, kind):
    model, examples = tiny_model(kind), examples_for(kind, 4)
    parts = anatomy(model)
    _, found, expected = narrowed(kind, mask_of(parts, neurons, heads.tolist()), parts, model, examples)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("kept", "gone"),
    [
        ([1, 1, 0, 0], [2, 3]),  # a whole group goes, with its key and value
        ([1, 0, 1, 0], [1, 3]),  # every group loses one
        ([1, 1, 1, 0], []),  # a group that lost one is filled up to the other's two
        ([0, 0, 0, 1], [0, 1, 2]),
        ([0, 0, 0, 0], [1, 2, 3]),  # one head stays, as zeros
    ],
)
def test_groups_of_heads_stay_even(kept, gone):
    parts = anatomy(tiny_model("llama"))
    assert removable_heads(Bits.pack(np.array(kept, bool)), parts, parts.attentions[0]) == gone


def test_the_module_is_left_as_it_was():
    model = tiny_model("bert")
    parts = anatomy(model)
    mask = mask_of(parts, heads=[[1, 1, 0, 0], [0, 0, 0, 1]])
    with realised(model, mask, parts) as module:
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        made = narrow(module, mask, parts)
        assert all((tensor == before[name]).all() for name, tensor in module.state_dict().items())
        assert module.bert.encoder.layer[0].attention.self.num_attention_heads == 4
    assert made.model.bert.embeddings.word_embeddings.weight is model.bert.embeddings.word_embeddings.weight
