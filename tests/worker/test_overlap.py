"""How much the modules of a job share."""

import numpy as np
import pytest

from worker.evaluation.overlap import overlap
from worker.pruning.masks import Bits, Mask


def mask(**layers):
    kept = {name: Bits.pack(np.array(values, dtype=bool)) for name, values in layers.items()}
    return Mask(structure="weights", weights=kept)


def test_the_jaccard_index_is_shared_over_either_and_the_core_what_all_keep():
    found = overlap({7: mask(a=[[1, 1], [0, 0]], b=[[1, 0]]), 2: mask(a=[[1, 0], [1, 0]], b=[[1, 1]])}, 0.5)
    assert found.concerns == [2, 7]
    assert found.jaccard == [[1.0, pytest.approx(2 / 5)], [pytest.approx(2 / 5), 1.0]]
    assert found.core == pytest.approx(2 / 6)
    assert found.layers == {"a": 1 / 4, "b": 1 / 2}


def test_a_mask_shares_everything_with_itself():
    same = mask(a=np.random.default_rng(0).random((5, 9)) > 0.5)
    found = overlap({0: same, 1: same, 2: same}, 0.5)
    assert np.allclose(found.jaccard, 1.0)


def test_masks_that_keep_nothing_are_the_same():
    nothing = mask(a=np.zeros((2, 2)))
    assert overlap({0: nothing, 1: nothing}, 0.9).jaccard == [[1.0, 1.0], [1.0, 1.0]]
