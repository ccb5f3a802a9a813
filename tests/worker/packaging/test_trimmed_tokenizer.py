"""Tokenizers with fewer tokens: what is left reads on as before, in every kind that is trimmed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from app.domain.errors import UnsupportedModel
from worker.packaging.trimmed_tokenizer import add_indispensable, document_of, find_frequent, trim

READ = ["the old tree by the river", "a river of old trees"]
TEXTS = [*READ, "lower and lower, the lowest tree", "thick wood by rivers"] * 3
OTHERS = ["the lowest wood", "zebras, thickly"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def word_piece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False)
    return framed(made, trainer)


def byte_pairs() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return framed(made, trainer)


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False)
    return framed(made, trainer)


def framed(made: Tokenizer, trainer: Any) -> Tokenizer:
    """Trained on the texts; every text is put between [CLS] and [SEP]."""
    made.train_from_iterator(TEXTS, trainer)
    ends = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return made


KINDS = {"WordPiece": word_piece, "BPE": byte_pairs, "Unigram": unigram}


def halved(kind: str) -> tuple[Tokenizer, Tokenizer, list[int]]:
    """A tokenizer, the one that is left when only `READ` are read, and what it keeps."""
    whole = KINDS[kind]()
    document = document_of(PreTrainedTokenizerFast(tokenizer_object=whole))
    counts = np.bincount([place for text in READ for place in whole.encode(text).ids], minlength=whole.get_vocab_size())
    kept = add_indispensable(document, find_frequent(counts, 0.0))
    return whole, Tokenizer.from_str(json.dumps(trim(document, kept))), kept


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_kept_tokens_are_read_as_before_under_new_ids(kind: str) -> None:
    whole, fewer, kept = halved(kind)
    for text in READ:
        before, after = whole.encode(text), fewer.encode(text)
        assert after.tokens == before.tokens
        assert [kept[place] for place in after.ids] == before.ids
    assert fewer.get_vocab_size() == len(kept) < whole.get_vocab_size()
    assert sorted(fewer.get_vocab().values()) == list(range(len(kept)))


@pytest.mark.parametrize("kind", KINDS)
def test_other_texts_are_cut_into_what_is_left_or_become_unknown(kind: str) -> None:
    whole, fewer, kept = halved(kind)
    names = {whole.id_to_token(place) for place in kept}
    for text in OTHERS:
        told = [fewer.id_to_token(place) for place in fewer.encode(text).ids]
        assert told != whole.encode(text).tokens
        assert set(told) <= names
    unknown = fewer.token_to_id("[UNK]") in fewer.encode("zebras").ids
    assert unknown is (kind != "BPE")  # bytes spell everything
    if kind == "BPE":
        assert fewer.decode(fewer.encode(OTHERS[1]).ids) == OTHERS[1]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_keep_their_names_and_places(kind: str) -> None:
    whole, fewer, _ = halved(kind)
    assert [fewer.token_to_id(name) for name in SPECIAL] == [whole.token_to_id(name) for name in SPECIAL]
    assert fewer.encode("the").tokens[0::2][:1] == ["[CLS]"]
    assert fewer.encode("the").tokens[-1] == "[SEP]"


def test_the_guard_drops_what_is_rare() -> None:
    counts = np.array([0, 1, 9, 90])
    assert find_frequent(counts, 0.0) == {1, 2, 3}
    assert find_frequent(counts, 0.01) == {2, 3}
    assert find_frequent(counts, 0.5) == {3}
    assert find_frequent(np.zeros(4, np.int64), 0.0) == set()


def test_what_is_not_known_to_survive_is_refused_with_the_reason() -> None:
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(UnsupportedModel, match="of kind WordLevel") as refused:
        document_of(PreTrainedTokenizerFast(tokenizer_object=words))
    assert refused.value.pointer == "/export/vocabulary"
    with pytest.raises(UnsupportedModel, match="not of the tokenizers library"):
        document_of(object())
