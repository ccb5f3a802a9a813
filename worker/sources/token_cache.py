"""Splits that were tokenised before, kept on this machine with their digest under the name of what decides them.

That is the texts, the tokenizer and the length they are cut to: other models with the same tokenizer find them too.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import structlog
import tokenizers
import transformers
from pyarrow import feather

from app.sources.cache import Cache
from worker.compute.examples import SEGMENTS, GivenText, Tokens, are_pairs, tokenise

FILE = "tokens.sealed"
COLUMN, CUT = "input_ids", "cut"
RECIPE = 2
"""Goes up whenever more is kept of a split."""

_DIGEST_BYTES = hashlib.sha256().digest_size

log = structlog.get_logger()


def kept_tokens(
    cache: Cache, texts: Sequence[GivenText], tokenizer: Any, max_length: int, *, segments: bool = False
) -> Tokens:
    """What `tokenise` gives, read from the cache where it is there, and put there where it is not.

    A cache that cannot be written, or a file that is not what was written, costs no more than the time to tokenise; the
    file is made anew.
    """
    key = identity(texts, tokenizer, max_length, segments=segments)
    if key is None:
        return tokenise(texts, tokenizer, max_length, segments=segments)

    made: list[Tokens] = []

    def make(folder: Path) -> None:
        made.append(tokenise(texts, tokenizer, max_length, segments=segments))
        _seal(made[0], folder / FILE)

    try:
        with cache.held(f"tokens-{key}", make) as entry:
            if made:
                return made[0]
            found = _unsealed(entry / FILE)
            if found is not None and len(found.ids) == len(texts):
                return found
            log.warning("token_cache_damaged", entry=entry.name)
            make(entry)
    except (OSError, pa.ArrowException, KeyError) as error:
        log.warning("token_cache_write_failed", error=str(error).splitlines()[0])
    return made[0] if made else tokenise(texts, tokenizer, max_length, segments=segments)


def _seal(tokens: Tokens, file: Path) -> None:
    """Written whole or not at all, also where it is there already: the sha256 of the Arrow bytes, then these."""
    sink = io.BytesIO()
    columns = {COLUMN: tokens.ids} | ({SEGMENTS: tokens.segments} if tokens.segments is not None else {})
    table = pa.table({name: pa.array(values, pa.list_(pa.int32())) for name, values in columns.items()})
    cut = np.zeros(len(tokens.ids), np.bool_)
    cut[tokens.cut] = True
    table = table.append_column(CUT, pa.array(cut))
    feather.write_feather(table, sink, compression="zstd")
    making = file.with_name(f"{uuid4().hex}.making")
    making.write_bytes(hashlib.sha256(sink.getbuffer()).digest() + sink.getbuffer())
    making.replace(file)


def _unsealed(file: Path) -> Tokens | None:
    """What `_seal` has written; None where a byte of it is another one now."""
    content = memoryview(file.read_bytes()) if file.is_file() else memoryview(b"")
    arrow = content[_DIGEST_BYTES:]
    if hashlib.sha256(arrow).digest() != content[:_DIGEST_BYTES]:
        return None
    table = feather.read_table(pa.BufferReader(arrow))
    segments = table[SEGMENTS].to_pylist() if SEGMENTS in table.column_names else None
    cut: list[int] = np.flatnonzero(table[CUT].to_numpy()).tolist()
    return Tokens(table[COLUMN].to_pylist(), segments, cut)


def identity(texts: Sequence[GivenText], tokenizer: Any, max_length: int, *, segments: bool = False) -> str | None:
    """The sha256 of all that decides the tokens; None for a tokenizer that does not say what it is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    reader = {
        name: part for name, part in json.loads(backend.to_str()).items() if name not in ("truncation", "padding")
    }
    around = [type(tokenizer).__name__, tokenizer.truncation_side, getattr(tokenizer, "split_special_tokens", False)]
    around.append(getattr(tokenizer, "pad_token_id", None))  # a text of no tokens is one pad
    how = [RECIPE, reader, max_length, around, transformers.__version__, tokenizers.__version__]
    how += [["pairs", segments]] if are_pairs(texts) else []
    sha256 = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for text in chain.from_iterable([given] if isinstance(given, str) else given for given in texts):
        content = text.encode("utf-8", "surrogatepass")
        sha256.update(len(content).to_bytes(8))
        sha256.update(content)
    return sha256.hexdigest()
