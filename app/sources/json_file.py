"""JSON that strangers wrote, read in one place: its size, depth, count of values and every number are bounded first.

Texts are left as they came; `storable` tells which of them a database keeps.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

MAX_DEPTH = 64
MAX_DIGITS = 40
"""Of a whole number. (Tokenizers say 10**30 where they know no longest input.)"""

MAX_OPENINGS, MAX_COMMAS = 250_000, 2_000_000
"""Brackets and commas in the text: more of them would be more lists, objects and values."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def read_object(file: Path, most: int) -> dict[str, Any]:
    """The object in a file of at most `most` bytes. ValueError says what is wrong, without the file's place."""
    try:
        with file.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from error
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return parse_object(content.removeprefix(b"\xef\xbb\xbf"))


def parse_object(content: bytes) -> dict[str, Any]:
    """The object that is written here in UTF-8; ValueError says what is wrong."""
    if content.count(b"[") + content.count(b"{") > MAX_OPENINGS or content.count(b",") > MAX_COMMAS:
        raise ValueError("it has more values than allowed")
    try:
        found = json.loads(content.decode(), parse_int=_whole, parse_float=_finite, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    _check_depth(found)
    return found


def storable(text: str) -> bool:
    """Whether the text has neither NUL nor half a surrogate pair, which no database keeps as text."""
    return _UNSTORABLE.search(text) is None


def is_count(value: object, least: int = 0, most: int = 2**63 - 1) -> bool:
    """Whether it is a whole number between these, and not true or false."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _check_depth(found: dict[str, Any]) -> None:
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        inside = [part for one in level for part in (one.values() if isinstance(one, dict) else one)]
        level = [part for part in inside if isinstance(part, dict | list)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:MAX_DIGITS]} is too large")
    return number


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")
