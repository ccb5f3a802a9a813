"""What people read is in short sentences and ordinary words: documentation, README, and the texts of the web pages.

Code and formulas are left out; what the reference is generated from is read as well. A sentence ends at `.`, `!`, `?`
or `:` before a space, and a cell of a table, an item of a list and a heading are sentences of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from docs.hooks import tables

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")]
PAGES = [*(page for page in GUIDES if page.is_file()), *sorted((ROOT / "docs").rglob("*.md"))]
TEMPLATES = sorted((ROOT / "app/web/templates").glob("*.html"))
OPENAPI = ROOT / "tests/api/openapi.json"
MOST_WORDS = 30
MOST_WORDS_ON_AVERAGE = 15
FEWEST_WORDS = 4
"""A cell of a table with fewer is no sentence."""

STUMBLED_OVER = {
    r"\bin the mean\b": "on average",
    r"\bby lot\b": "at random",
    r"\bon its own accord\b": "by itself",
    r"\bin the stead of\b|\bin the place of\b": "instead of",
    r"\bbeside one another\b": "side by side",
    r"\bsomebody else's own\b": "another owner's",
    r"\b(?:is|are) no (?:text|number|list|model|reference|mask)\b": "is not a …",
    r"\bmade anew\b|\banew\b": "again",
    r"\b[Ww]ho (?:asks|waits|comes|has|would|wants|can)\b(?![^.]*\?)": "a caller who … / somebody who …",
    r"\bwhat there is\b|\bthere is to\b": "name the thing",
    r"\bas it stands? for\b|\bstood for\b": "pointed to",
    r"\btold\b": "said, reported, shown",
    r"\b(?:is|was|are|were) asked for\b": "requested",
    r"\blays? (?:it|them|a mask|the mask|masks)\b|\blaid over\b": "apply",
    r"\bgoes on with\b|\bgo on with the concerns\b": "continues with",
    r"\bmended?\b|\bmends\b": "repair, fix",
    r"^None yet": "say what is missing, and what to do",
}
"""What readers stopped at, and what to write instead."""

FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"^\\\[$.*?^\\\]$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
DIRECTIVE = re.compile(r"^:::.*(?:\n    .*)*", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
NAMES = re.compile(r"code(, code)+")
SPAN = re.compile(r"`+[^`]+`+|\\\(.+?\\\)|<https?://[^>]+>")
SENTENCE = re.compile(r"(?<=[.!?:])[)*\"”]*\s+")
WORD = re.compile(r"[A-Za-z0-9][\w'’./-]*")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|vs)\.\s")

JINJA = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
VALUE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
SILENT = re.compile(r"<(script|style|svg|code|pre)\b.*?</\1>", re.DOTALL)
INLINE = re.compile(r"</?(?:a|strong|em|b|span|code)\b[^>]*>")
TAG = re.compile(r"<[^>]+>")
SAID = re.compile(r'(?:aria-label|placeholder|title|data-confirm)="([^"{}<>]{12,})"')


def prose_of_markdown(text: str) -> Iterator[str]:
    """The paragraphs, headings, list items and table cells of a page. Code is one word, and so is a list of it."""
    for part in (FENCE, FORMULA, COMMENT, DIRECTIVE, PICTURE):
        text = part.sub("\n", text)
    text = NAMES.sub("code", SPAN.sub("code", LINK.sub(r"\1", text)))
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:- |\d+\. |\||#))", text):
        cells = block.strip().strip("|").split(" | ") if block.lstrip().startswith("|") else [block]
        yield from (" ".join(cell.split()) for cell in cells if cell.strip(" |-:\n"))


def prose_of_template(text: str) -> Iterator[str]:
    """The texts between tags, and those that only a screen reader or a confirmation says."""
    yield from SAID.findall(text)
    plain = VALUE.sub("code", JINJA.sub(" ", text))
    plain = TAG.sub("\n\n", INLINE.sub("", SILENT.sub("code", plain)))
    yield from (" ".join(block.split()) for block in plain.split("\n\n") if block.strip())


def sentences_of(page: Path) -> list[str]:
    """Every sentence of a page. One that a colon divides counts as two."""
    text = page.read_text(encoding="utf-8")
    return sentences_in(prose_of_template(text) if page.suffix == ".html" else prose_of_markdown(text))


def sentences_in(blocks: Iterable[str]) -> list[str]:
    """Every sentence of these paragraphs and cells."""
    parts = (part for block in blocks for part in SENTENCE.split(ABBREVIATION.sub("", block)))
    return [part for part in parts if WORD.search(part)]


def descriptions_in(schema: Any) -> Iterator[str]:
    """Every description in the OpenAPI document, however deep."""
    if isinstance(schema, Mapping):
        yield from (text for name, text in schema.items() if name == "description" and isinstance(text, str))
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from descriptions_in(inner)


def stumbled_over(sentences: Iterable[str]) -> list[str]:
    """What readers stopped at in these sentences, with what to write instead."""
    return [
        f"“{match[0]}” in “{sentence}”: write {better}"
        for sentence in sentences
        for pattern, better in STUMBLED_OVER.items()
        if (match := re.search(pattern, sentence))
    ]


GENERATED: dict[str, Callable[[], Iterable[str]]] = {
    "errors": lambda: prose_of_markdown(tables.errors()),
    "exit codes": lambda: prose_of_markdown(tables.exit_codes()),
    "methods": lambda: prose_of_markdown(tables.methods()),
    "settings": lambda: prose_of_markdown(tables.settings()),
    "OpenAPI": lambda: (SPAN.sub("code", text) for text in descriptions_in(json.loads(OPENAPI.read_bytes()))),
}
"""What the reference is made of, beside the options of a job, which are in the OpenAPI document."""


def length(sentence: str) -> int:
    """How many words it has."""
    return len(WORD.findall(sentence))


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*PAGES, *TEMPLATES], ids=named)
def test_no_sentence_is_too_long_to_be_read_once(page: Path) -> None:
    long = [sentence for sentence in sentences_of(page) if length(sentence) > MOST_WORDS]
    assert not long, f"these have more than {MOST_WORDS} words:\n" + "\n".join(long)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_sentences_are_short_on_average(page: Path) -> None:
    lengths = [words for sentence in sentences_of(page) if (words := length(sentence)) >= FEWEST_WORDS]
    average = sum(lengths) / len(lengths)
    assert average <= MOST_WORDS_ON_AVERAGE, f"{average:.1f} words on average; split some sentences"


@pytest.mark.parametrize("page", [*PAGES, *TEMPLATES], ids=named)
def test_nothing_is_said_that_readers_stopped_at(page: Path) -> None:
    assert not (found := stumbled_over(sentences_of(page))), "\n".join(found)


@pytest.mark.parametrize("name", GENERATED)
def test_what_the_code_says_of_itself_is_read_once_too(name: str) -> None:
    sentences = sentences_in(GENERATED[name]())
    long = [sentence for sentence in sentences if length(sentence) > MOST_WORDS]
    assert not long, f"these have more than {MOST_WORDS} words:\n" + "\n".join(long)
    assert not (found := stumbled_over(sentences)), "\n".join(found)


def test_the_check_finds_what_it_is_for() -> None:
    long = "word " * (MOST_WORDS + 1) + "end. Short. `code in a span` ends: here"
    assert [length(sentence) for sentence in SENTENCE.split(next(prose_of_markdown(long)))] == [MOST_WORDS + 2, 1, 2, 1]
    assert list(
        prose_of_markdown("# Head\n\n```sh\nin the mean\n```\n\n| a | in the mean |\n|---|---|\n- one\n- two")
    ) == [
        *("# Head", "a", "in the mean", "- one", "- two"),
    ]
    page = '<p>{% if x %}In the mean <a href="/">{{ y }}</a>.{% endif %}</p><svg><text>no</text></svg>'
    assert [part for part in prose_of_template(page) if WORD.search(part)] == ["In the mean code.", "code"]
