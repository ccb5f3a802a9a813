"""Names for files, made of texts that anybody may have written: labels of classes, names of models."""

from __future__ import annotations

import re

MOST_BYTES = 80
"""Of one such text; file systems allow 255 for a whole name with its endings."""

PLAIN = re.compile(r"[^A-Za-z0-9._-]+")
WORDS = re.compile(r"[^\w-]+")


def safe_name(text: str, strange: re.Pattern[str] = PLAIN, joint: str = "-") -> str:
    """The text as a part of a file's name: at most MOST_BYTES long, no path, not hidden; empty where nothing is left.

    What is `strange` becomes the `joint`.
    """
    tame = strange.sub(joint, text[: 10 * MOST_BYTES]).strip("-._")
    return tame.encode(errors="ignore")[:MOST_BYTES].decode(errors="ignore").strip("-._")
