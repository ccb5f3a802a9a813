"""Server-sent events: from the bytes of a stream to messages, after the HTML standard (section 9.2.6)."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One message: its type, its data (lines joined by newlines) and the last id the stream has named."""

    event: str
    data: str
    id: str


def messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """The messages of a stream, however it was cut into chunks. Comments vanish, and so does an unfinished message."""
    event, data, last_id = "", list[str](), ""
    for line in lines(chunks):
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id)
            event, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines that end in LF, CR or CR LF and in nothing else: JSON may carry the other line breaks Unicode knows."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    rest, after_cr = "", False
    for chunk in chunks:
        text = decoder.decode(chunk)
        if after_cr and text:
            text, after_cr = text.removeprefix("\n"), False
        after_cr = after_cr or text.endswith("\r")
        *complete, rest = (rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        yield from complete
