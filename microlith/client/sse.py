"""Server-sent events: from the bytes of a stream to messages, after the HTML standard (section 9.2.6).

Not httpx-sse (0.4.3): it makes an empty message of every comment after an id, and loses a first line after a BOM.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One message: its type, its data (lines joined by newlines) and the last id the stream has named."""

    event: str
    data: str
    id: str


class Decoder:
    """The messages of one stream, however it was cut into chunks. Comments vanish, and so does an unfinished message.

    Lines end in LF, CR or CR LF and in nothing else: JSON may carry the other line breaks Unicode knows.
    """

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest, self._after_cr = "", False
        self._event, self._data, self._last_id = "", list[str](), ""

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that this chunk completes."""
        return [message for line in self._lines(chunk) if (message := self._take(line))]

    def _lines(self, chunk: bytes) -> list[str]:
        text = self._text.decode(chunk)
        if self._after_cr and text:
            text, self._after_cr = text.removeprefix("\n"), False
        self._after_cr = self._after_cr or text.endswith("\r")
        *complete, self._rest = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return complete

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._finish()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._event = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._last_id = value
        return None

    def _finish(self) -> Message | None:
        event, data = self._event or "message", self._data
        self._event, self._data = "", []
        return Message(event, "\n".join(data), self._last_id) if data else None
