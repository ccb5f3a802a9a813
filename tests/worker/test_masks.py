import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.builders import examples_for, tiny_bert, tiny_model
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied

LAYER = "bert.encoder.layer.0.intermediate.dense"
READER = "bert.encoder.layer.0.output.dense"
BLOCK = "bert.encoder.layer.0"


def weights_mask(seed=0):
    kept = np.random.default_rng(seed).random((24, 16)) < 0.5
    return Mask("weights", {LAYER: Bits.pack(kept)}), kept


def neurons_mask():
    kept = np.arange(24) % 3 > 0
    return Mask("neurons", neurons={BLOCK: Bits.pack(kept)}), kept


def heads_mask():
    return Mask("heads", heads={BLOCK: Bits.pack(np.array([True, False]))})


def chain_mask():
    return Mask(
        "heads+neurons",
        neurons=neurons_mask()[0].neurons,
        heads=heads_mask().heads,
        tensors={f"{READER}.bias": np.arange(16, dtype=np.float32)},
    )


@settings(max_examples=30)
@given(kept=arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_packing_loses_nothing(kept):
    bits = Bits.pack(kept)
    assert np.array_equal(bits.unpack(), kept)
    assert (bits.size, bits.kept) == (kept.size, kept.sum())
    assert len(bits.packed) == -(-kept.size // 8)


def test_equal_masks_have_equal_digests_and_every_bit_and_name_counts():
    first, second = Bits.pack(np.eye(3, dtype=bool)), Bits.pack(np.ones((3, 3), dtype=bool))
    digest = Mask("weights", {"a": first, "b": second}).digest()
    assert digest == Mask("weights", {"b": second, "a": first}).digest()
    others = [
        Mask("weights", {"a": second, "b": first}),
        Mask("weights", {"a": first, "c": second}),
        Mask("heads+weights", {"a": first, "b": second}),
        Mask("weights", neurons={"a": first, "b": second}),
        Mask("weights", {"a": first, "b": second}, tensors={"a.bias": np.zeros(3, np.float32)}),
        Mask("weights", {"a": first, "b": second}, tensors={"a.bias": np.ones(3, np.float32)}),
        Mask("weights", {"a": first, "b": Bits((9,), second.packed)}),
    ]
    assert len({digest, *(mask.digest() for mask in others)}) == 8


def test_achieved_is_the_fraction_removed_over_all_layers():
    mask = Mask("weights", {"a": Bits.pack(np.array([[True, False]])), "b": Bits.pack(np.ones((2, 3), bool))})
    assert mask.achieved == pytest.approx(1 / 8)
    assert chain_mask().achieved == pytest.approx((8 + 1) / (24 + 2))


def test_a_weights_mask_zeroes_its_weights_only():
    model = tiny_bert()
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mask, kept = weights_mask()
    with applied(model, mask, anatomy(model)):
        masked = model.state_dict()
        assert torch.equal(masked.pop(f"{LAYER}.weight"), own[f"{LAYER}.weight"] * torch.from_numpy(kept))
        assert all(torch.equal(tensor, own[name]) for name, tensor in masked.items())


def test_a_neurons_mask_zeroes_rows_biases_and_columns():
    model = tiny_bert()
    mask, kept = neurons_mask()
    gone = torch.from_numpy(~kept)
    with applied(model, mask, anatomy(model)):
        writer, reader = linear(model, LAYER), linear(model, READER)
        assert not writer.weight[gone].any()
        assert not writer.bias[gone].any()
        assert not reader.weight[:, gone].any()
        assert writer.weight[~gone].all()
        assert reader.bias.all()


def test_a_heads_mask_zeroes_the_rows_and_biases_of_query_key_and_value_and_the_columns_that_read_them():
    model = tiny_bert()
    attention = f"{BLOCK}.attention"
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with applied(model, heads_mask(), anatomy(model)):
        masked = model.state_dict()
        for part in ("query", "key", "value"):
            for kind in ("weight", "bias"):
                name = f"{attention}.self.{part}.{kind}"
                assert not masked[name][8:].any()
                assert torch.equal(masked.pop(name)[:8], own[name][:8])
        columns = masked.pop(f"{attention}.output.dense.weight")
        assert not columns[:, 8:].any()
        assert torch.equal(columns[:, :8], own[f"{attention}.output.dense.weight"][:, :8])
        assert all(torch.equal(tensor, own[name]) for name, tensor in masked.items())


def test_a_mended_bias_takes_the_place_of_the_layers_own():
    model = tiny_bert()
    with applied(model, chain_mask(), anatomy(model)):
        assert linear(model, READER).bias.tolist() == list(range(16))


@pytest.mark.parametrize("family", ["modernbert", "llama", "qwen2", "albert"])
def test_units_that_are_gone_no_longer_matter_in_any_family(family):
    """Whatever their weights were: gated and fused writers, grouped heads, shared layers."""
    model, shown = tiny_model(family), examples_for(family)
    parts = anatomy(model)
    rng = np.random.default_rng(0)
    mask = Mask(
        "heads+neurons",
        neurons={p.block: Bits.pack(rng.random(parts.neurons(p)) < 0.5) for p in parts.feed_forwards},
        heads={p.block: Bits.pack(np.arange(parts.heads(p)) != 1) for p in parts.attentions},
    )
    with applied(model, mask, parts):
        expected = predict(model, shown)
    scrambled = tiny_model(family)
    for part in parts.feed_forwards:
        gone = torch.from_numpy(~mask.neurons[part.block].unpack())
        for name, offset in parts.neuron_rows(part):
            linear(scrambled, name).weight.data[offset : offset + len(gone)][gone] = 7.0
    for part in parts.attentions:
        linear(scrambled, part.output).weight.data[:, parts.head_columns(part, 1)] = 7.0
        linear(scrambled, part.query).weight.data[parts.head_columns(part, 1)] = 7.0
    with applied(scrambled, mask, parts):
        np.testing.assert_array_equal(predict(scrambled, shown), expected)


@pytest.mark.parametrize(
    "mask",
    [weights_mask()[0], neurons_mask()[0], heads_mask(), chain_mask()],
    ids=["weights", "neurons", "heads", "chain"],
)
@pytest.mark.parametrize("interrupted", [False, True])
def test_the_model_is_restored_bit_for_bit_even_after_an_error(mask, interrupted):
    model = tiny_bert()
    linear(model, LAYER).weight.data[0, :2] = torch.tensor([-0.0, float("inf")])
    own = {name: (tensor.data_ptr(), tensor.clone().view(torch.int32)) for name, tensor in parameters(model)}
    try:
        with applied(model, mask, anatomy(model)):
            if interrupted:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    for name, tensor in parameters(model):
        place, bits = own[name]
        assert tensor.data_ptr() == place
        assert torch.equal(tensor.view(torch.int32), bits)


def parameters(model):
    return [(name, parameter.data) for name, parameter in model.named_parameters()]


def test_one_base_serves_many_masks_without_copies():
    """Defect 12: the seed deep-copies the model for every concern."""
    model = tiny_bert()
    untouched = linear(model, READER).weight.data_ptr()
    for seed in range(3):
        mask, kept = weights_mask(seed)
        with applied(model, mask, anatomy(model)) as masked:
            assert masked is model
            assert linear(model, READER).weight.data_ptr() == untouched
            assert int(torch.count_nonzero(linear(model, LAYER).weight)) == kept.sum()
