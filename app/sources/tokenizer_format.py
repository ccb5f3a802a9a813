"""Whether a tokenizer.json is of a form that the library installed here reads, which only the library knows.

Its vocabulary is left out for it: that would take the most memory, and is counted elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.domain.errors import UnsupportedModel
from app.domain.foreign_errors import told
from app.sources.json_file import read_object
from app.sources.tokenizer_files import MAX_BYTES, WHOLE

_ALONE: dict[str, Any] = {"vocab": [["x", 0.0]], "unk_id": 0}
"""The least that a Unigram model may have."""


def check_format(folder: Path, *, pointer: str) -> None:
    """Raise UnsupportedModel for a tokenizer.json of another version. Without the library, a worker finds it out."""
    try:
        import tokenizers
    except ModuleNotFoundError:
        return
    if not (folder / WHOLE).is_file():
        return
    try:
        document = read_object(folder / WHOLE, MAX_BYTES)
    except ValueError as error:
        raise UnsupportedModel(
            f"{WHOLE} cannot be read: {error}.",
            hint="Save the tokenizer beside the model once more, with tokenizer.save_pretrained.",
            pointer=pointer,
        ) from error
    try:
        tokenizers.Tokenizer.from_str(json.dumps(_emptied(document)))
    except BaseException as error:  # a library of Rust's may panic, which is no Exception to Python
        if isinstance(error, MemoryError | KeyboardInterrupt | SystemExit):
            raise
        raise UnsupportedModel(
            f"tokenizer.json cannot be read by tokenizers {tokenizers.__version__}: "
            f"{told(str(error).partition(chr(10))[0])}",
            hint="It was written by another version. Save the tokenizer with the version installed here: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
            pointer=pointer,
        ) from error


def _emptied(document: dict[str, Any]) -> dict[str, Any]:
    model = document.get("model")
    if not isinstance(model, dict):
        return document
    if isinstance(model.get("vocab"), list):
        return document | {"model": model | _ALONE}
    return document | {"model": model | {"vocab": {}} | ({"merges": []} if "merges" in model else {})}
