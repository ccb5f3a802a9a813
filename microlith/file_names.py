"""Names for files, made of texts that anybody may have written: labels of classes, names of models."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from urllib.parse import quote

MOST_BYTES = 80
"""Of one such text; file systems allow 255 for a whole name with its endings."""

GAP = "\0"


def safe_name(text: str, joint: str = "-", signs: str = "._-") -> str:
    """The text as a part of a file's name: at most MOST_BYTES long, no path, not hidden; empty where nothing is left.

    Letters and digits of every script stay, and these `signs`. What is between becomes the `joint`.
    """
    composed = unicodedata.normalize("NFC", text[: 10 * MOST_BYTES])
    kept = "".join(letter if _is_written(letter) or letter in signs else GAP for letter in composed)
    tame = re.sub(f"{GAP}+", joint, kept).strip("-._")
    return tame.encode(errors="ignore")[:MOST_BYTES].decode(errors="ignore").strip("-._")


@lru_cache(maxsize=8)
def names_of(labels: tuple[str, ...]) -> tuple[str, ...]:
    """A name for each label of a model, no two alike where case is not told apart; odd ones have their id in them."""
    tame = [re.sub("-+", "-", safe_name(label)) for label in labels]
    times = Counter(name.casefold() for name in tame)
    names: dict[str, str] = {}
    for number, name in enumerate(tame):
        own = name
        while not own or own.casefold() in names or (own.casefold() in times and times[name.casefold()] > 1):
            own = f"{own}-{number}".lstrip("-")
        names[own.casefold()] = own
    return tuple(names.values())


def attachment(filename: str) -> str:
    """A Content-Disposition for any file name (RFC 6266): the exact one, and a plain one for old readers."""
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() and letter not in '"\\' else "_" for letter in filename
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _is_written(letter: str) -> bool:
    return letter.isalnum() or unicodedata.category(letter).startswith("M")
