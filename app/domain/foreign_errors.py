"""What errors that are not ours may tell a caller: nothing of this machine's disk, and not without end."""

from __future__ import annotations

import re
from pathlib import Path

MOST_CHARACTERS = 2_000

_TOP = "|".join(re.escape(name) for name in sorted(place.name for place in Path("/").iterdir()))
_PATH = re.compile(rf"(?<![\w/.:])/(?:{_TOP})(?:/[^\s'\",;:()<>]*)?(?![\w-])")


def told(text: str) -> str:
    """The text with a path of this machine's as no more than its last name, cut at MOST_CHARACTERS.

    A `path:` reference stays what its caller called it.
    """
    short = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return _PATH.sub(lambda place: f"…/{place[0].rstrip('/').rpartition('/')[2]}", short)
