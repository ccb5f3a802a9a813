import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import UnsupportedModel
from tests.builders import tiny_bert, tiny_examples
from worker.compute.batches import forward, pad
from worker.evaluation.runner import evenly, predict
from worker.families.anatomy import anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bits, Mask, applied


def test_logits_come_in_row_order_as_if_every_row_ran_alone():
    model, examples = tiny_bert(), tiny_examples(20)
    logits = predict(model, examples)
    for row in range(20):
        batch = pad(examples, np.array([row]), len(examples.token_ids[row]), "cpu")
        with torch.inference_mode():
            np.testing.assert_allclose(forward(model, batch).logits[0].numpy(), logits[row], atol=1e-5)


@settings(max_examples=10)
@given(budget=st.integers(1, 300), seed=st.integers(0, 5))
def test_logits_do_not_depend_on_batches_or_on_the_order_of_examples(budget, seed):
    model, examples = tiny_bert(), tiny_examples()
    order = np.random.default_rng(seed).permutation(len(examples))
    logits = predict(model, examples.take(order), token_budget=budget)
    np.testing.assert_allclose(logits, predict(model, examples)[order], atol=1e-5)


def test_a_module_is_evaluated_not_its_base():
    """Defect 5: the seed's magnitude tables hold the unpruned model's numbers."""
    model, examples = tiny_bert(), tiny_examples()
    name = "bert.encoder.layer.0.output.dense"
    base = predict(model, examples)
    with applied(model, Mask("weights", {name: Bits.pack(np.zeros((16, 24), bool))}), anatomy(model)):
        module = predict(model, examples)
    linear(model, name).weight.data.zero_()
    np.testing.assert_array_equal(module, predict(model, examples))
    assert not np.allclose(module, base)


def test_dropout_is_off_even_for_a_model_left_in_training():
    model, examples = tiny_bert(), tiny_examples()
    expected = predict(model, examples)
    np.testing.assert_array_equal(predict(model.train(), examples), expected)


def test_the_checkpoint_hears_the_rows_done_and_can_stop_the_run():
    seen = []
    predict(tiny_bert(), tiny_examples(), token_budget=60, checkpoint=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 48

    def cancelled(_rows_done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(tiny_bert(), tiny_examples(), checkpoint=cancelled)


def test_logits_that_are_not_finite_are_refused():
    model = tiny_bert()
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(UnsupportedModel, match="not finite"):
        predict(model, tiny_examples())


def test_no_examples_have_no_logits():
    assert len(predict(tiny_bert(), tiny_examples(0))) == 0


@settings(max_examples=50)
@given(rows=st.integers(0, 200), limit=st.integers(1, 200))
def test_a_limit_takes_rows_spread_evenly(rows, limit):
    chosen = evenly(rows, limit)
    assert len(chosen) == len(set(chosen.tolist())) == min(rows, limit)
    assert all(0 <= row < rows for row in chosen)
    gaps = np.diff(chosen)
    assert gaps.size == 0 or gaps.max() - gaps.min() <= 1


def test_no_limit_takes_all_rows():
    assert evenly(5, None).tolist() == [0, 1, 2, 3, 4]
