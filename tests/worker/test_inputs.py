from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from app.domain.errors import UnsupportedModel
from tests.builders import MAX_LENGTH, tiny_bert, tiny_distilbert, tiny_examples, tiny_model, tiny_pixels
from worker.compute.batches import Batch, forward, mean_over_positions, pad, run_batches
from worker.compute.examples import EmbeddedExamples, encode
from worker.evaluation.runner import predict


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(Path(__file__).parents[2] / "app/demo/bert-tiny-wordnet")


def test_no_texts_are_no_examples(tokenizer):
    assert len(encode([], [], tokenizer, 6)) == 0


def test_encoding_keeps_special_tokens_truncates_and_never_pads(tokenizer):
    examples = encode(["a dog", "a very long definition of a domestic animal", ""], [1, 0, 1], tokenizer, 6)
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert [len(ids) for ids in examples.token_ids] == [4, 6, 2]
    assert all(ids[0] == first and ids[-1] == last for ids in examples.token_ids)
    assert examples.labels.tolist() == [1, 0, 1]
    assert examples.pad_id == tokenizer.pad_token_id


def test_no_texts_encode_to_no_examples(tokenizer):
    assert encode([], [], tokenizer, 6).token_ids == []


def test_taking_rows_keeps_the_order_asked():
    examples = tiny_examples()
    taken = examples.take([5, 2])
    assert taken.token_ids == [examples.token_ids[5], examples.token_ids[2]]
    assert taken.labels.tolist() == [examples.labels[5], examples.labels[2]]


@settings(max_examples=20)
@given(rows=st.integers(0, 60), budget=st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget_and_pad_no_further_than_their_longest(rows, budget):
    examples = tiny_examples(rows)
    made = batches(examples, token_budget=budget)
    assert sorted(row for batch in made for row in batch.rows.tolist()) == list(range(rows))
    for batch in made:
        assert batch.inputs["input_ids"].numel() <= budget or len(batch) == 1
        assert batch.attention_mask.sum(1).max() == batch.inputs["input_ids"].shape[1]
        for row, ids, mask in zip(batch.rows, batch.inputs["input_ids"], batch.attention_mask, strict=True):
            assert ids[mask.bool()].tolist() == examples.token_ids[row]
            assert (ids[~mask.bool()] == examples.pad_id).all()


def test_padding_to_a_length_keeps_the_given_order():
    examples = tiny_examples()
    made = batches(examples, [7, 3, 9], token_budget=2 * MAX_LENGTH, pad_to=MAX_LENGTH)
    assert [batch.rows.tolist() for batch in made] == [[7, 3], [9]]
    assert all(batch.inputs["input_ids"].shape[1] == MAX_LENGTH for batch in made)


def test_a_model_without_segment_ids_runs():
    batch = batches(tiny_examples())[0]
    with torch.inference_mode():
        assert forward(tiny_distilbert(), batch).logits.shape == (len(batch), 4)


def test_labels_become_integers_whatever_their_kind():
    assert tiny_examples().take(np.array([0, 1])).labels.dtype == np.int64


def batches(*given, **options):
    """The batches themselves."""
    return [batch for batch, _ in run_batches(len, *given, **options)]


def test_another_device_is_given_larger_batches_than_the_cpu():
    examples = tiny_examples(600)
    on_cpu, on_another = batches(examples), batches(examples, device="meta")
    assert len(on_cpu) > 2 * len(on_another)
    for made, budget in ((on_cpu, 2048), (on_another, 16_384)):
        assert all(batch.attention_mask.numel() <= budget for batch in made)
        assert sorted(row for batch in made for row in batch.rows.tolist()) == list(range(600))


def embedded(model, rows=12):
    """Tiny examples, embedded, with logits of their tokens."""
    examples = tiny_examples(rows)
    layer = model.get_input_embeddings()
    with torch.inference_mode():
        vectors = [layer(torch.tensor(ids)).numpy() for ids in examples.token_ids]
    masks = [np.ones(len(ids), np.int64) for ids in examples.token_ids]
    return EmbeddedExamples(vectors, masks, examples.labels), predict(model, examples)


@pytest.mark.parametrize("kind", ["bert", "electra", "llama"])
def test_embedded_examples_are_answered_as_their_tokens(kind):
    model = tiny_model(kind)
    examples, expected = embedded(model)
    np.testing.assert_allclose(predict(model, examples), expected, atol=1e-5)
    order = [5, 2, 7]
    np.testing.assert_allclose(predict(model, examples.take(order)), expected[order], atol=1e-5)


@settings(max_examples=20)
@given(budget=st.integers(1, 200))
def test_embedded_examples_of_unlike_lengths_are_batched_apart(budget):
    examples, _ = embedded(tiny_bert(), 20)
    made = batches(examples, token_budget=budget)
    assert sorted(row for batch in made for row in batch.rows.tolist()) == list(range(20))
    assert all(batch.attention_mask.all() for batch in made)


def test_pads_of_embedded_examples_are_zero_and_masked_and_their_own_are_kept():
    rows = [np.ones((2, 3), np.float32), np.full((4, 3), 2, np.float32)]
    examples = EmbeddedExamples(rows, [np.array([1, 1]), np.array([1, 1, 0, 0])], np.array([0, 1]))
    assert examples.max_length == 4
    batch = pad(examples, np.array([1, 0]), 5, "cpu")
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0]]
    assert batch.inputs["inputs_embeds"].sum(2).tolist() == [[6, 6, 6, 6, 0], [3, 3, 0, 0, 0]]
    assert batch.labels.tolist() == [1, 0]


def test_a_decoder_refuses_padded_embeddings_because_it_answers_from_the_last_position():
    model = tiny_model("llama")
    examples, expected = embedded(model)
    rows = np.array([0, 1])
    longest = int(examples.lengths(rows).max())
    with pytest.raises(UnsupportedModel, match="last position"):
        forward(model, pad(examples, rows, longest + 1, "cpu"))
    with torch.inference_mode():
        unpadded = forward(model, pad(examples, rows[:1], int(examples.lengths(rows[:1])[0]), "cpu")).logits.numpy()
    np.testing.assert_allclose(unpadded, expected[:1], atol=1e-5)


def test_images_have_no_pads_and_as_many_positions_as_patches_and_one():
    examples = tiny_pixels(9)
    assert examples.max_length is None
    assert examples.lengths(np.arange(9)).tolist() == [5] * 9
    made = batches(examples, [4, 1, 7], token_budget=10, pad_to=examples.max_length)
    assert [batch.rows.tolist() for batch in made] == [[4, 1], [7]]
    assert all(batch.attention_mask is None for batch in made)
    np.testing.assert_array_equal(made[1].inputs["pixel_values"][0].numpy(), examples.pixels[7])


def test_images_run_in_any_batches():
    model, examples = tiny_model("vit"), tiny_pixels(9)
    whole = predict(model, examples)
    np.testing.assert_allclose(predict(model, examples, token_budget=1), whole, atol=1e-5)
    np.testing.assert_allclose(predict(model, examples.take([3, 0])), whole[[3, 0]], atol=1e-5)


def test_a_mean_over_positions_leaves_pads_out_and_takes_every_patch():
    states = torch.arange(12.0).reshape(2, 3, 2)
    masked = Batch(np.arange(2), {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}, torch.zeros(2))
    assert mean_over_positions(states, masked).tolist() == [[1, 2], [8, 9]]
    assert mean_over_positions(states, Batch(np.arange(2), {}, torch.zeros(2))).tolist() == [[2, 3], [8, 9]]
