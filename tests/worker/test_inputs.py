from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertConfig, RobertaConfig

from tests.builders import MAX_LENGTH, tiny_distilbert, tiny_examples
from worker.inputs import batches, encode, forward, longest_input


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(Path(__file__).parents[2] / "app/demo/bert-tiny-wordnet")


def test_encoding_keeps_special_tokens_truncates_and_never_pads(tokenizer):
    examples = encode(["a dog", "a very long definition of a domestic animal", ""], [1, 0, 1], tokenizer, 6)
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert [len(ids) for ids in examples.token_ids] == [4, 6, 2]
    assert all(ids[0] == first and ids[-1] == last for ids in examples.token_ids)
    assert examples.labels.tolist() == [1, 0, 1]
    assert examples.pad_id == tokenizer.pad_token_id


def test_taking_rows_keeps_the_order_asked():
    examples = tiny_examples()
    taken = examples.take([5, 2])
    assert taken.token_ids == [examples.token_ids[5], examples.token_ids[2]]
    assert taken.labels.tolist() == [examples.labels[5], examples.labels[2]]


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 60), budget=st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget_and_pad_no_further_than_their_longest(rows, budget):
    examples = tiny_examples(rows)
    made = list(batches(examples, token_budget=budget))
    assert sorted(row for batch in made for row in batch.rows.tolist()) == list(range(rows))
    for batch in made:
        assert batch.input_ids.numel() <= budget or len(batch) == 1
        assert batch.attention_mask.sum(1).max() == batch.input_ids.shape[1]
        for row, ids, mask in zip(batch.rows, batch.input_ids, batch.attention_mask, strict=True):
            assert ids[mask.bool()].tolist() == examples.token_ids[row]
            assert (ids[~mask.bool()] == examples.pad_id).all()


def test_padding_to_a_length_keeps_the_given_order():
    examples = tiny_examples()
    made = list(batches(examples, [7, 3, 9], token_budget=2 * MAX_LENGTH, pad_to=MAX_LENGTH))
    assert [batch.rows.tolist() for batch in made] == [[7, 3], [9]]
    assert all(batch.input_ids.shape[1] == MAX_LENGTH for batch in made)


def test_a_model_without_segment_ids_runs():
    batch = next(batches(tiny_examples()))
    with torch.inference_mode():
        assert forward(tiny_distilbert(), batch).logits.shape == (len(batch), 4)


def test_the_longest_input_leaves_out_positions_that_roberta_keeps(tokenizer):
    bert = BertConfig(max_position_embeddings=99)
    roberta = RobertaConfig(max_position_embeddings=99, pad_token_id=1)
    assert longest_input(bert, tokenizer) == 99
    assert longest_input(roberta, tokenizer) == 97
    assert longest_input(BertConfig(max_position_embeddings=10**6), tokenizer) == tokenizer.model_max_length


def test_labels_become_integers_whatever_their_kind():
    assert tiny_examples().take(np.array([0, 1])).labels.dtype == np.int64
