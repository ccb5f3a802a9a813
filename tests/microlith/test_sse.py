"""Server-sent events, against the cases of the HTML standard."""

from __future__ import annotations

import pytest

from microlith.client.sse import Decoder, Message


def messages(chunks: list[bytes]) -> list[Message]:
    decoder = Decoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


def test_the_standards_own_example_of_two_messages() -> None:
    stream = b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"
    assert [m.data for m in messages([stream])] == [
        "This is the first message.",
        "This is the second message, it\nhas two lines.",
    ]


def test_comments_and_messages_without_data_say_nothing() -> None:
    assert (messages([b": still here\n\nevent: ping\n\ndata: x\n\n"])) == [Message("message", "x", "")]


def test_a_comment_after_an_id_is_no_message() -> None:
    assert messages([b"id: 7\ndata: a\n\n: still here\n\n: still here\n\n"]) == [Message("message", "a", "7")]


def test_the_id_stays_until_another_is_named() -> None:
    found = messages([b"id: 7\ndata: a\n\ndata: b\n\nid: 8\ndata: c\n\n"])
    assert [(m.data, m.id) for m in found] == [("a", "7"), ("b", "7"), ("c", "8")]


def test_one_space_after_the_colon_is_not_part_of_the_value() -> None:
    assert [m.data for m in messages([b"data:a\n\ndata:  b\n\ndata\n\n"])] == ["a", " b", ""]


def test_an_unfinished_message_is_dropped() -> None:
    assert [m.data for m in messages([b"data: whole\n\ndata: half\n"])] == ["whole"]


def test_other_line_breaks_of_unicode_are_text() -> None:
    text = "a\u2028b\x85c\x0bd"
    assert [m.data for m in messages([f"data: {text}\n\n".encode()])] == [text]


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_neither_line_endings_nor_the_cut_of_chunks_matter(ending: bytes, size: int) -> None:
    stream = "\ufeffid: 1|event: märz|data: ü|data: €||data: z||".encode().replace(b"|", ending)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert (messages(chunks)) == [Message("märz", "ü\n€", "1"), Message("message", "z", "1")]
