"""Two texts are read at once as plain transformers reads them, and kept apart from texts that are read alone."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    PreTrainedTokenizerFast,
)
from transformers import DistilBertForSequenceClassification as DistilBert

from app.domain.errors import UnsupportedModel
from app.sources.cache import Cache
from tests.builders import KINDS, MAX_LENGTH, VOCABULARY, tiny_model
from worker.compute.examples import PairOfTexts, encode, tokenise
from worker.evaluation.runner import predict
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


def test_rows_that_are_longer_than_the_model_reads_are_known(tokenizer: Any) -> None:
    assert tokenise(PAIRS, tokenizer, 8).cut == [0, 1]
    whole = [len(ids) for ids in tokenise(PAIRS, tokenizer, 64).ids]
    assert tokenise(PAIRS, tokenizer, max(whole)).cut == []
    texts = [one for pair in PAIRS for one in pair] * 300
    kept = tokenise(texts, tokenizer, 8)
    longer = [row for row, text in enumerate(texts) if len(tokenizer(text)["input_ids"]) > 8]
    assert kept.cut == longer
    assert longer[-1] > 1000


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


def small_tokenizer() -> PreTrainedTokenizerFast:
    """Words w0, w1, … with marks around two texts, whose tokens are of type 0 and 1."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(VOCABULARY - 4))]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_input_names=names)


@pytest.mark.parametrize("family", [family for family in KINDS if family != "vit"])
def test_every_family_answers_pairs_as_plain_transformers_does(family: str) -> None:
    model, tokenizer = tiny_model(family), small_tokenizer()
    pairs = [("w1 w2 w3", "w9"), ("w4", "w5 w6 w7 w8 w9 w10 w11 w12"), ("w2 w2", "w3 w20")]
    segments = reads_segments(model, tokenizer)
    examples = encode(pairs, [0] * 3, tokenizer, MAX_LENGTH, segments=segments)
    found = predict(model, examples)
    taken = inspect.signature(model.forward).parameters
    for row, (first, second) in enumerate(pairs):
        read = tokenizer([first], [second], truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        with torch.inference_mode():
            plain = model(**{name: values for name, values in read.items() if name in taken}).logits[0].numpy()
        np.testing.assert_allclose(found[row], plain, atol=1e-5)
    assert segments == (family in ("bert", "roberta", "xlm-roberta", "electra", "albert"))
