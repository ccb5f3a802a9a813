"""What a confined process does with a stranger's tokenizer: opens it and reads odd texts (`tokenizer_trial`)."""

from __future__ import annotations

import sys
from pathlib import Path

from worker.sources.library_errors import foreign, open_tokenizer

_REPEATED = ("a", "A", "0", " ", "\n", ".", "(", "-", "é", "ß", "中", "😀", "\u0301", "ab", "a ", "\u200b")
_TIMES = 10_000
_TEXTS = (
    "",
    " ",
    "A plain sentence, with 3 numbers: 1.5, 20 & 1e9!",
    "ÄÖÜ naïve Ω 中文 русский עברית عربى हिन्दी 🙂🙃 \u202e\ufeff\x00\x7f",
    "word " * _TIMES,
    *(f"{text * _TIMES}!" for text in _REPEATED),
)


def answer(folder: str) -> int:
    """How many tokens the odd texts come to. Raises UnsupportedModel."""
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]  # it takes the longest to import, and serves none
    tokenizer = open_tokenizer(Path(folder))
    with foreign("The model's tokenizer cannot read texts"):
        return sum(len(tokenizer(text, truncation=True, max_length=512)["input_ids"]) for text in _TEXTS)
