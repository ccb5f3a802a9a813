import numpy as np
import pytest

from tests.builders import tiny_bert
from worker.evaluation.sparsity import base_size, size, sparsity
from worker.families.anatomy import anatomy
from worker.families.layers import linear_layers
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.surgery import shrink

BLOCK = "bert.encoder.layer.0"
WRITER, READER = f"{BLOCK}.intermediate.dense", f"{BLOCK}.output.dense"
OTHER = "bert.encoder.layer.1"
LINEAR = 2 * (4 * (16 * 16 + 16) + (24 * 16 + 24) + (16 * 24 + 16)) + (16 * 16 + 16) + (4 * 16 + 4)


def neurons_mask(kept=15):
    bits = Bits.pack(np.arange(24) < kept)
    blocks = (BLOCK, OTHER)
    return Mask("neurons", neurons=dict.fromkeys(blocks, bits))


def test_the_base_counts_every_linear_layer_with_its_bias():
    model = tiny_bert()
    base = base_size(model)
    assert list(base.layers) == list(linear_layers(model))
    assert sum(base.layers.values()) == LINEAR
    assert base.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_zeroed_weights_count_against_all_linear_layers():
    model = tiny_bert()
    base = base_size(model)
    kept = np.ones((24, 16), bool)
    kept[:, :8] = False
    with applied(model, Mask("weights", {WRITER: Bits.pack(kept)}), anatomy(model)):
        found, measured = sparsity(model, base), size(model, base)
    assert found.overall == pytest.approx(24 * 8 / LINEAR)
    assert found.layers[WRITER] == pytest.approx(24 * 8 / (24 * 16 + 24))
    assert found.layers[READER] == 0
    assert measured.parameters == measured.base_parameters == base.parameters
    # Padding's embedding row is zero in the base too.
    assert base.parameters - measured.nonzero == 24 * 8 + zeros_of(model)


def zeros_of(model):
    return sum(int((parameter == 0).sum()) for parameter in model.parameters())


def test_removed_neurons_count_like_zeroed_ones():
    """Defect 11: the seed counts zeros only, so a squeezed model shows 0.0."""
    model = tiny_bert()
    base, mask = base_size(model), neurons_mask()
    shrunk = shrink(model, mask, anatomy(model))
    with applied(model, mask, anatomy(model)):
        masked = sparsity(model, base)
    gone = 2 * 9 * (16 + 1 + 16)
    assert sparsity(shrunk, base) == masked
    assert masked.overall == pytest.approx(gone / LINEAR)
    assert size(shrunk, base).parameters == base.parameters - gone
