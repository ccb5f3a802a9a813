"""JSON of strangers: what is read, and what is refused before it costs anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.sources.json_file import MAX_COMMAS, MAX_DEPTH, MAX_DIGITS, parse_object, read_object


def test_an_object_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for mark in (b"", b"\xef\xbb\xbf"):
        file.write_bytes(mark + b'{"a": [1, 2.5, "\xc3\xb6", null], "b": 1e30}')
        assert read_object(file, 1_000) == {"a": [1, 2.5, "ö", None], "b": 1e30}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Expecting value"),
        (b"[]", "is not a JSON object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "is too large"),
        (b'{"a": -' + b"9" * 5_000 + b"}", "a number has 5001 digits"),
        (b'{"a": ' + b"9" * (MAX_DIGITS + 1) + b"}", "digits"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' * 300_000, "more values than allowed"),
        (b'{"a": [' + b"1," * (MAX_COMMAS + 1) + b"1]}", "more values than allowed"),
    ],
)
def test_what_is_no_bounded_object_is_refused_with_the_reason(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_object(content)


def test_a_file_is_not_read_further_than_it_may_be_long(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(b"{}" + b" " * 100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        read_object(file, 100)
    with pytest.raises(ValueError, match="No such file") as refusal:
        read_object(tmp_path / "none.json", 100)
    assert str(tmp_path) not in str(refusal.value)
