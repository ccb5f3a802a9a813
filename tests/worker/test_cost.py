"""What a module costs beside its base: only what is really gone is saved."""

import numpy as np
import pytest

from tests.builders import KINDS, tiny_bert, tiny_model
from worker.evaluation.cost import POSITIONS, base_cost, cost, encoder_products
from worker.families.anatomy import anatomy
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.narrowing import narrow
from worker.pruning.surgery import realised

BLOCK = 4 * 16 * 16 + 2 * 16 * 24 + 2 * POSITIONS * 16
"""Multiplications of a block of the tiny BERT: 16 wide, 24 neurons, 2 heads of 8."""


def halves(parts, *, neurons=True, heads=False):
    """A mask that removes half of the neurons, or of the heads, of every block."""
    kept = {part.block: Bits.pack(np.arange(24) < 12) for part in parts.feed_forwards} if neurons else {}
    bits = {part.block: Bits.pack(np.arange(2) < 1) for part in parts.attentions} if heads else {}
    return Mask("heads+neurons", neurons=kept, heads=bits)


def test_the_encoder_multiplies_its_linear_layers_and_its_attention():
    model = tiny_bert()
    assert encoder_products(model, anatomy(model)) == 2 * BLOCK


def test_a_weight_at_zero_costs_as_much_as_any_other():
    model = tiny_bert()
    parts = anatomy(model)
    base = base_cost(model, parts)
    mask = Mask("weights", {parts.feed_forwards[0].output: Bits.pack(np.zeros((16, 24), bool))})
    with applied(model, mask, parts) as module:
        found = cost(module, base, parts)
    assert (found.flops_ratio, found.parameters_ratio) == (1.0, 1.0)


def test_neurons_that_are_gone_are_saved():
    model = tiny_bert()
    parts = anatomy(model)
    base = base_cost(model, parts)
    with realised(model, halves(parts), parts) as module:
        found = cost(module, base, parts)
    assert found.flops_ratio == pytest.approx((BLOCK - 2 * 16 * 12) / BLOCK)
    gone = 2 * 12 * (16 + 1 + 16)
    assert found.parameters_ratio == pytest.approx(1 - gone / base.parameters)


def test_heads_are_saved_where_the_layout_leaves_them_out():
    model = tiny_bert()
    parts = anatomy(model)
    base, mask = base_cost(model, parts), halves(parts, neurons=False, heads=True)
    with realised(model, mask, parts) as module:
        stored, left_out = cost(module, base, parts), cost(narrow(module, mask, parts).model, base, parts)
    assert stored.flops_ratio == 1.0
    assert left_out.flops_ratio == pytest.approx((BLOCK - 4 * 16 * 8 - 2 * POSITIONS * 8) / BLOCK)


def test_blocks_that_are_gone_are_saved():
    model = tiny_bert()
    parts = anatomy(model)
    base, mask = base_cost(model, parts), Mask("layers", layers={parts.stack: Bits.pack(np.array([True, False]))})
    with realised(model, mask, parts) as module:
        assert cost(module, base, parts).flops_ratio == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_costs_what_it_costs_itself(kind):
    model = tiny_model(kind)
    parts = anatomy(model)
    base = base_cost(model, parts)
    found = cost(model, base, parts)
    assert base.flops > 0
    assert (found.flops_ratio, found.parameters_ratio) == (1.0, 1.0)
