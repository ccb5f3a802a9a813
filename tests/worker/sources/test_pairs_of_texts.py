"""Two texts are read at once as plain transformers reads them, and kept apart from texts that are read alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, DistilBertConfig
from transformers import DistilBertForSequenceClassification as DistilBert

from app.domain.errors import UnsupportedModel
from app.sources.cache import Cache
from worker.compute.examples import PairOfTexts, encode, tokenise
from worker.sources.pairs import check_pairs, reads_segments
from worker.sources.token_cache import identity, kept_tokens

TINY = Path(__file__).parents[3] / "app" / "demo" / "bert-tiny-wordnet"
PAIRS: list[PairOfTexts] = [
    ("a warm-blooded animal", "an animal"),
    ("food", "a sweet baked dish of flour, sugar and eggs"),
    ("", "food"),
    ("food", ""),
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(TINY)


def bert(**settings: Any) -> BertForSequenceClassification:
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return BertForSequenceClassification(BertConfig(vocab_size=40, **small, **settings))


@pytest.mark.parametrize("max_length", [8, 64])
def test_pairs_are_read_as_plain_transformers_reads_them_the_longer_text_cut_first(
    tokenizer: Any, max_length: int
) -> None:
    plain = tokenizer(*map(list, zip(*PAIRS, strict=True)), truncation="longest_first", max_length=max_length)
    read = tokenise(PAIRS, tokenizer, max_length, segments=True)
    assert read.segments is not None
    assert (read.ids, read.segments) == (plain["input_ids"], plain["token_type_ids"])
    examples = encode(PAIRS, [0] * 4, tokenizer, max_length, segments=True)
    padded = tokenizer.pad(plain, padding="longest", return_tensors="np")
    made = examples.collate(np.arange(4), padded["input_ids"].shape[1])
    assert made.keys() == padded.keys()
    for name, values in made.items():
        np.testing.assert_array_equal(values, padded[name])
    taken = examples.take([2, 0])
    assert taken.segments == [read.segments[2], read.segments[0]]


def test_what_knows_no_token_types_is_given_none(tokenizer: Any) -> None:
    assert tokenise(PAIRS, tokenizer, 8).segments is None
    assert set(encode(PAIRS, [0] * 4, tokenizer, 8).collate(np.arange(2), 8)) == {"input_ids", "attention_mask"}
    assert reads_segments(bert(), tokenizer)
    small = DistilBert(DistilBertConfig(vocab_size=40, dim=8, n_layers=1, n_heads=2, hidden_dim=8))
    assert not reads_segments(small, tokenizer)
    assert not reads_segments(bert(), SimpleNamespace(model_input_names=["input_ids", "attention_mask"]))


def test_pairs_are_kept_with_their_token_types_and_apart_from_single_texts(tmp_path: Path, tokenizer: Any) -> None:
    cache = Cache(tmp_path / "cache", 10_000_000)
    expected = tokenise(PAIRS, tokenizer, 8, segments=True)
    for _ in range(2):
        assert kept_tokens(cache, PAIRS, tokenizer, 8, segments=True) == expected
    flat = [text for pair in PAIRS for text in pair]
    names = {
        identity(PAIRS, tokenizer, 8, segments=True),
        identity(PAIRS, tokenizer, 8),
        identity(flat, tokenizer, 8),
        identity([(two, one) for one, two in PAIRS], tokenizer, 8, segments=True),
    }
    assert len(names) == 4


def test_a_model_without_room_for_two_texts_or_their_token_types_is_refused(tokenizer: Any) -> None:
    check_pairs(bert(), tokenizer, 5)
    with pytest.raises(UnsupportedModel, match="reads 4 tokens at most") as refusal:
        check_pairs(bert(), tokenizer, 4)
    assert refusal.value.pointer == "/dataset/text_pair_column"
    with pytest.raises(UnsupportedModel, match="token type 1, and the model knows 1"):
        check_pairs(bert(type_vocab_size=1), tokenizer, 64)
    with pytest.raises(UnsupportedModel, match="reads images"):
        check_pairs(bert(), None, 64)
