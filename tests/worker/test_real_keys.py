from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from tests.builders import MAX_LENGTH, examples_for, tiny_model
from worker.compute.batches import forward, pad


class Attended(TorchFunctionMode):
    """Notes how many keys every attention is given."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            self.keys.append(args[1].shape[-2])
        return func(*args, **(kwargs or {}))


def padded(family):
    """A model, and its shortest texts padded far beyond the longest of them."""
    examples = examples_for(family, 24)
    rows = np.argsort(examples.lengths(np.arange(24)), kind="stable")[:8]
    return tiny_model(family).eval(), pad(examples, rows, MAX_LENGTH, "cpu")


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "albert", "llama"])
def test_states_of_tokens_and_pads_are_what_they_were_when_every_key_was_attended_to(family):
    model, batch = padded(family)
    assert batch.real < MAX_LENGTH
    with torch.inference_mode():
        cropped, whole = (forward(model, b, output_hidden_states=True) for b in (batch, replace(batch, real=None)))
    for left, right in zip(cropped.hidden_states, whole.hidden_states, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(cropped.logits, whole.logits, rtol=1e-5, atol=1e-6)


def test_no_pad_of_a_whole_batch_is_attended_to():
    model, batch = padded("bert")
    with torch.inference_mode(), Attended() as attended:
        forward(model, batch)
    assert attended.keys == [batch.real] * 2


def test_a_batch_with_an_empty_row_is_left_as_it_is():
    examples = replace(examples_for("bert", 4), token_ids=[(), (1, 2), (1,), (1, 2)])
    assert pad(examples, np.arange(4), MAX_LENGTH, "cpu").real is None
    assert pad(examples, np.arange(1, 4), MAX_LENGTH, "cpu").real == 2
