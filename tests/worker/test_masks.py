import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.builders import tiny_bert
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied, lowest

LAYER = "bert.encoder.layer.0.intermediate.dense"
READER = "bert.encoder.layer.0.output.dense"


def weights_mask(seed=0):
    kept = np.random.default_rng(seed).random((24, 16)) < 0.5
    return Mask("weights", {LAYER: Bits.pack(kept)}), kept


def neurons_mask():
    kept = np.arange(24) % 3 > 0
    return Mask("neurons", {LAYER: Bits.pack(kept)}, {LAYER: READER}), kept


@settings(max_examples=50, deadline=None)
@given(
    scores=arrays(np.float64, (5, 11), elements=st.sampled_from([0.0, 1.0, 1.5, 2.0, 1e300])),
    counts=st.lists(st.integers(0, 10), min_size=1, max_size=4),
)
def test_every_row_loses_exactly_its_count_of_lowest_as_a_stable_sort_has_it(scores, counts):
    order = np.argsort(scores, axis=1, kind="stable")
    for count, kept in zip(counts, lowest(scores, counts), strict=True):
        assert (~kept).sum(axis=1).tolist() == [count] * 5
        removed = [set(row[:count]) for row in order.tolist()]
        assert [set(np.flatnonzero(~row).tolist()) for row in kept] == removed


@settings(max_examples=30, deadline=None)
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
        Mask("neurons", {"a": first, "b": second}),
        Mask("weights", {"a": first, "b": Bits((9,), second.packed)}),
    ]
    assert len({digest, *(mask.digest() for mask in others)}) == 5


def test_achieved_is_the_fraction_removed_over_all_layers():
    mask = Mask("weights", {"a": Bits.pack(np.array([[True, False]])), "b": Bits.pack(np.ones((2, 3), bool))})
    assert mask.achieved == pytest.approx(1 / 8)


def test_a_weights_mask_zeroes_its_weights_only():
    model = tiny_bert()
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    mask, kept = weights_mask()
    with applied(model, mask):
        masked = model.state_dict()
        assert torch.equal(masked.pop(f"{LAYER}.weight"), own[f"{LAYER}.weight"] * torch.from_numpy(kept))
        assert all(torch.equal(tensor, own[name]) for name, tensor in masked.items())


def test_a_neurons_mask_zeroes_rows_biases_and_columns():
    model = tiny_bert()
    mask, kept = neurons_mask()
    gone = torch.from_numpy(~kept)
    with applied(model, mask):
        writer, reader = linear(model, LAYER), linear(model, READER)
        assert not writer.weight[gone].any()
        assert not writer.bias[gone].any()
        assert not reader.weight[:, gone].any()
        assert writer.weight[~gone].all()
        assert reader.bias.all()


@pytest.mark.parametrize("mask", [weights_mask()[0], neurons_mask()[0]], ids=["weights", "neurons"])
@pytest.mark.parametrize("interrupted", [False, True])
def test_the_model_is_restored_bit_for_bit_even_after_an_error(mask, interrupted):
    model = tiny_bert()
    linear(model, LAYER).weight.data[0, :2] = torch.tensor([-0.0, float("inf")])
    own = {name: (tensor.data_ptr(), tensor.clone().view(torch.int32)) for name, tensor in parameters(model)}
    try:
        with applied(model, mask):
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
        with applied(model, mask) as masked:
            assert masked is model
            assert linear(model, READER).weight.data_ptr() == untouched
            assert int(torch.count_nonzero(linear(model, LAYER).weight)) == kept.sum()
