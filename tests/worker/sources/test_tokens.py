"""A split is tokenised once for all jobs of one machine that read it with the same tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from pyarrow import feather
from structlog.testing import capture_logs
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import worker.sources.token_cache
from app.sources.cache import Cache
from microlith.contract import JobSpec
from tests.work import DEMO
from worker.compute.examples import GivenText, Tokens, tokenise
from worker.sources.open_sources import Sources, open_sources
from worker.sources.token_cache import COLUMN, FILE, identity, kept_tokens

TINY = Path(__file__).parents[3] / "app" / "demo" / "bert-tiny-wordnet"
TEXTS = ["a warm-blooded animal", "", "food", "naïve \ud800 text that is longer than the others", "food"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(TINY)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10_000_000)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were tokenised, call by call."""
    made: list[int] = []

    def counted(texts: list[GivenText], *args: Any, **options: Any) -> Tokens:
        made.append(len(texts))
        return tokenise(texts, *args, **options)

    monkeypatch.setattr(worker.sources.token_cache, "tokenise", counted)
    return made


def test_what_was_tokenised_before_is_read_again(cache: Cache, tokenizer: Any, calls: list[int]) -> None:
    texts = [text.replace("\ud800", "") for text in TEXTS]
    expected = tokenise(texts, tokenizer, 6)
    for _ in range(3):
        assert kept_tokens(cache, texts, tokenizer, 6) == expected
    assert calls == [5]


def test_other_texts_lengths_and_tokenizers_have_tokens_of_their_own(tokenizer: Any) -> None:
    other = AutoTokenizer.from_pretrained(TINY)
    known = identity(TEXTS, tokenizer, 6)
    tokenise(["any call sets how the tokenizer cuts"], tokenizer, 4)
    assert identity(TEXTS, tokenizer, 6) == identity(TEXTS, other, 6) == known
    padded = AutoTokenizer.from_pretrained(TINY, pad_token="[MASK]")
    other.add_tokens(["warm-blooded"])
    others = {
        identity(TEXTS, padded, 6),
        identity(TEXTS, other, 6),
        identity(TEXTS, tokenizer, 7),
        identity(TEXTS[::-1], tokenizer, 6),
        identity(["a", "bc"], tokenizer, 6),
        identity(["ab", "c"], tokenizer, 6),
    }
    assert len(others) == 6
    assert known not in others
    assert identity(TEXTS, object(), 6) is None, "one that does not say what it is"


@pytest.mark.parametrize("damage", ["cut", "one entry changed", "emptied", "gone", "another's"])
def test_a_damaged_file_is_made_anew_and_said(damage: str, cache: Cache, tokenizer: Any, calls: list[int]) -> None:
    expected = kept_tokens(cache, ["food"], tokenizer, 6)
    [file] = cache.folder.rglob(FILE)
    kept = file.read_bytes()
    table = pa.table({COLUMN: pa.array([[101, 7, 102]], pa.list_(pa.int32()))})
    with pa.BufferOutputStream() as sink:
        feather.write_feather(table, sink, compression="zstd")
        other = sink.getvalue().to_pybytes()
    if damage == "gone":
        file.unlink()
    else:
        contents = {"cut": kept[:40], "one entry changed": kept[:32] + other, "emptied": b"", "another's": other}
        file.write_bytes(contents[damage])
    with capture_logs() as said:
        for _ in range(2):
            assert kept_tokens(cache, ["food"], tokenizer, 6) == expected
    assert calls == [1, 1], "the second time it is read again"
    assert [line["event"] for line in said] == ["token_cache_damaged"]
    assert file.read_bytes() == kept
    assert [there.name for there in file.parent.iterdir()] == [FILE]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, tokenizer: Any) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache", 10_000_000)
    assert kept_tokens(cache, ["food"], tokenizer, 6) == tokenise(["food"], tokenizer, 6)


def test_splits_that_are_read_whole_are_tokenised_once_and_others_only_where_they_are_read(
    cache: Cache, calls: list[int]
) -> None:
    def opened() -> Sources:
        spec = JobSpec.model_validate(DEMO)
        return open_sources(spec, allow_paths=False, device=torch.device("cpu"), cache=cache)

    for _ in range(2):
        sources = opened()
        rows = range(len(sources.labels("test")))
        whole, few = sources.encode("test", rows), sources.encode("test", [3, 5])
        assert few.lengths([3, 5]).tolist() == whole.lengths([3, 5]).tolist()
        assert sources.encode("train", [0, 9]).lengths([0, 1]).tolist()[1] == 0
    assert calls == [len(rows)]


def test_a_text_of_no_tokens_is_one_pad(tokenizer: Any) -> None:
    def bare(texts: list[str], **options: Any) -> Any:
        return tokenizer(texts, add_special_tokens=False, **options)

    assert tokenise(["", "food"], bare, 6).ids[0] == [0]
