"""Splits that were tokenised before, kept on this machine as Arrow under the name of what decides them.

That is the texts, the tokenizer and the length they are cut to: other models with the same tokenizer find them too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog
import tokenizers
import transformers
from pyarrow import feather

from app.sources.cache import Cache
from worker.examples import token_ids

FILE = "tokens.arrow"
COLUMN = "input_ids"

log = structlog.get_logger()


def kept_token_ids(cache: Cache, texts: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
    """What `token_ids` gives, read from the cache where it is there, and put there where it is not.

    A cache that cannot be written, or a file that cannot be read, costs no more than the time to tokenise.
    """
    key = identity(texts, tokenizer, max_length)
    if key is None:
        return token_ids(texts, tokenizer, max_length)

    def make(folder: Path) -> None:
        made = pa.array(token_ids(texts, tokenizer, max_length), pa.list_(pa.int32()))
        feather.write_feather(pa.table({COLUMN: made}), folder / FILE, compression="zstd")

    try:
        with cache.held(f"tokens-{key}", make) as entry:
            found: list[list[int]] = feather.read_table(entry / FILE, memory_map=False)[COLUMN].to_pylist()
            if len(found) == len(texts):
                return found
    except (OSError, pa.ArrowException, KeyError) as error:
        log.warning("tokens_not_kept", error=str(error).splitlines()[0])
    return token_ids(texts, tokenizer, max_length)


def identity(texts: Sequence[str], tokenizer: Any, max_length: int) -> str | None:
    """The sha256 of all that decides the tokens; None for a tokenizer that does not say what it is."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    reader = {
        name: part for name, part in json.loads(backend.to_str()).items() if name not in ("truncation", "padding")
    }
    how = [reader, max_length, tokenizer.truncation_side, transformers.__version__, tokenizers.__version__]
    sha256 = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        sha256.update(len(content).to_bytes(8))
        sha256.update(content)
    return sha256.hexdigest()
