"""JSON as PostgreSQL takes it: in a text it keeps neither NUL nor half a surrogate pair, which files of strangers have.

What callers send is refused for either (microlith.contract.base). What workers write of errors, events and facts may
quote a file: there U+FFFD stands in their place.
"""

from __future__ import annotations

import json
import re

_HALVES = re.compile(r"[\ud800-\udfff]")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON writes it: behind backslashes that belong to one another."""


def to_json(value: object) -> str:
    """The value as JSON that can be stored."""
    text = _HALVES.sub("\ufffd", json.dumps(value, ensure_ascii=False))
    return _NUL.sub("\\1\ufffd", text) if "\\u0000" in text else text
