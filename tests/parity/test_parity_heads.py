"""Heads: given the seed's importance, its rule chooses its heads, and zeroing them gives its logits."""

import numpy as np
import pytest

from tests.parity.reference import CONCERNS, examples, model, numbers, present
from worker.evaluation.runner import predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied
from worker.pruning.selection import lowest

RATIO = 0.3
every_case = pytest.mark.parametrize(
    ("concern", "samples", "structure"),
    [(c, s, k) for c in CONCERNS for s in ("pos", "all") for k in ("unstructed", "structed")],
)


def seed_choice(importance, ratio, structure):
    """The seed's rule: max(int(L·H·ratio), L) heads, the lowest of all or equally many of every layer. True is kept."""
    layers, heads = importance.shape
    count = max(int(layers * heads * ratio), layers)
    if structure == "structed":
        return lowest(importance, [count // layers])[0]
    return lowest(importance.reshape(1, -1), [count])[0].reshape(layers, heads)


def kept_in_the_file(concern, samples, structure):
    kept = np.ones((2, 2), dtype=bool)
    for layer, head in numbers("heads")[f"pruned_r{RATIO}/c{concern}/{samples}/{structure}"]:
        kept[layer, head] = False
    return kept


@every_case
def test_given_the_seeds_importance_its_rule_chooses_its_heads(concern, samples, structure):
    importance = np.array(numbers("heads")[f"importance/c{concern}/{samples}/normalize=True"])
    chosen = seed_choice(importance, RATIO, structure)
    np.testing.assert_array_equal(chosen, kept_in_the_file(concern, samples, structure))


@present
@every_case
def test_removing_the_seeds_heads_zeroes_the_weights_that_it_zeroes_and_gives_its_logits(concern, samples, structure):
    """The seed leaves the biases of removed rows, which nothing reads any more; ours are gone with their rows."""
    parts = anatomy(model())
    kept = kept_in_the_file(concern, samples, structure)
    mask = Mask("heads", heads={p.block: Bits.pack(row) for p, row in zip(parts.attentions, kept, strict=True)})
    case = f"c{concern}/{samples}/{structure}"
    with applied(model(), mask, parts):
        for name, fraction in numbers("heads")[f"zero_fraction/{case}"].items():
            layer, _, tensor = name.rpartition(".")
            if tensor == "weight":
                assert (linear(model(), layer).weight == 0).float().mean().item() == fraction
        logits = predict(model(), examples("valid").take(range(16)))
    assert np.abs(logits).sum(dtype=np.float64) == pytest.approx(numbers("heads")[f"logits_sum/{case}"], rel=1e-6)
