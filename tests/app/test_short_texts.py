"""A message repeats what strangers wrote so that it can be sent, printed and read."""

from __future__ import annotations

import json

from app.sources.short_texts import list_first, quote, shorten


def test_a_text_is_shortened_to_what_a_page_can_bear() -> None:
    assert shorten("a\0b\nc\ud800") == "a�b�c�"
    assert shorten("x" * 101) == "x" * 100 + "…"


def test_a_value_is_quoted_by_what_it_is() -> None:
    assert quote("a\0b\ud800") == "'a�b�'"
    assert len(quote("x" * 10_000)) < 110
    assert (quote([1] * 10_000), quote({}), quote(12), quote(True)) == ("list", "dict", "12", "True")
    json.dumps(quote("\udfff"), ensure_ascii=False).encode()


def test_the_first_of_many_are_listed_with_the_number_of_the_rest() -> None:
    assert list_first([str(number) for number in range(22)]).endswith("18, 19 and 2 more")
    assert list_first(list(map(str, range(7))), quote, most=5) == "'0', '1', '2', '3', '4' and 2 more"
    assert list_first(["a"]) == "a"
