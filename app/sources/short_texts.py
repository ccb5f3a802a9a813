"""What strangers wrote, as a message may repeat it: short, on one line, of characters that can be sent and printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_CHARACTERS, MOST_LISTED = 100, 20


def shorten(text: object, most: int = MOST_CHARACTERS) -> str:
    """The first `most` characters; a replacement character stands for each that cannot be printed."""
    written = str(text)
    printable = "".join(character if character.isprintable() else "�" for character in written[:most])
    return printable if len(written) <= most else f"{printable}…"


def quote(value: object) -> str:
    """A value of a JSON file: a text shortened and in quotes, a number as it is, anything else by its type's name."""
    if isinstance(value, str):
        return repr(shorten(value))
    return shorten(value) if isinstance(value, int | float) else type(value).__name__


def list_first(values: Sequence[object], write: Callable[[object], str] = shorten, *, most: int = MOST_LISTED) -> str:
    """The first `most` values, and how many more there are."""
    more = f" and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(write(value) for value in values[:most]) + more
