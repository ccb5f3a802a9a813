"""How a CSV file is written: what stands between its columns, and in which encoding; told where it is not the usual."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources.reference_files import Stamp
from app.sources.size_limits import MAX_COLUMNS, MAX_HEADER_BYTES, POINTER, within
from microlith.contract import DataForm

_DELIMITERS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)"}
_BLOCK_BYTES, _HEAD_CHARACTERS, _ROWS = 1_000_000, 65_536, 50
_NOT_UTF8, _NOT_ASCII = re.compile("[\udc80-\udcff]"), re.compile("[^\x00-\x7f]")
_MOST_OTHER_BYTES = 0.3
"""Of a file in a Western European encoding; more is another alphabet."""

_UNDEFINED_IN_CP1252 = frozenset("\x81\x8d\x8f\x90\x9d")


@dataclass(frozen=True)
class CsvAsked:
    """What the caller says of the CSV files; what is None is found out."""

    delimiter: str | None = None
    encoding: str | None = None

    @classmethod
    def of(cls, source: DataForm) -> CsvAsked:
        """What a dataset object says of them."""
        return cls("\t" if source.delimiter == "tab" else source.delimiter, source.encoding)


@dataclass(frozen=True)
class CsvForm:
    """How one file is read, and what its owner should be told of it."""

    delimiter: str
    encoding: str
    blank_lines: int
    warnings: tuple[str, ...]


FOUND_OUT = CsvAsked()


@lru_cache(maxsize=256)
def csv_form(file: Stamp, asked: CsvAsked) -> CsvForm:
    """How the file is to be read. Raises DatasetInvalid where nobody can tell, ResourceLimit for endless headers."""
    encoding, why = (asked.encoding, None) if asked.encoding else _encoding(file.path)
    head, whole = _head(file.path, encoding)
    blank = sum(1 for _ in itertools.takewhile(lambda line: not line.strip("\ufeff \t\r\n"), io.StringIO(head)))
    lines = "".join(itertools.islice(io.StringIO(head, newline=""), blank, None)).lstrip("\ufeff")
    usual = "\t" if file.path.suffix.lower() == ".tsv" else ","
    delimiter = asked.delimiter or _delimiter(lines, whole, usual)
    _check_header(file.path, lines, whole, delimiter)
    warnings = [f"{file.path.name} is read as {encoding}: {why}; `encoding` may say otherwise."] if why else []
    if delimiter not in (asked.delimiter, usual):
        warnings.append(
            f"{file.path.name} is read with {_NAMES[delimiter]} between its columns; `delimiter` may say otherwise."
        )
    return CsvForm(delimiter, encoding, blank, tuple(warnings))


def _encoding(file: Path) -> tuple[str, str | None]:
    """The encoding, and how it is known where it is not UTF-8."""
    with file.open("rb") as stream:
        head = stream.read(_BLOCK_BYTES)
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16", "it begins with its mark"
    for at, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) > 3 and head[at::2].count(0) > 0.4 * len(head) and not head[1 - at :: 2].count(0):
            return encoding, "every second byte is zero"
    valid, invalid, size, where = 0, 0, 0, ""
    controls: set[str] = set()
    for line, text in _blocks(file):
        broken = _NOT_UTF8.findall(text)
        if broken and not where:
            first = _NOT_UTF8.search(text)
            where = (
                f"byte 0x{ord(broken[0]) - 0xDC00:02X} in line {line + text.count(chr(10), 0, first and first.start())}"
            )
        controls |= {chr(ord(byte) - 0xDC00) for byte in broken if ord(byte) < 0xDCA0}
        valid, invalid, size = (
            valid + len(_NOT_ASCII.findall(text)) - len(broken),
            invalid + len(broken),
            size + len(text),
        )
    if not invalid:
        return "utf-8", None
    if valid > invalid:
        raise _unknown(f"{file.name} is UTF-8, but not in all places: the first that is not is {where}.")
    if invalid > _MOST_OTHER_BYTES * size:
        raise _unknown(f"{file.name} is not UTF-8 ({where}), and not of Western Europe.")
    western = "cp1252" if controls and not controls & _UNDEFINED_IN_CP1252 else "latin-1"
    return western, f"it is not UTF-8 ({where})"


def _unknown(what: str) -> DatasetInvalid:
    return DatasetInvalid(
        what,
        hint="Save the file as UTF-8, or name its `encoding` in the dataset object.",
        pointer=f"{POINTER}/encoding",
    )


def _blocks(file: Path) -> Iterator[tuple[int, str]]:
    """The file's text with the number of the line that each part begins in; other bytes than UTF-8 as surrogates."""
    decoder, line = codecs.getincrementaldecoder("utf-8")("surrogateescape"), 1
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            text = decoder.decode(block)
            yield line, text
            line += text.count("\n")
    yield line, decoder.decode(b"", final=True)


def _head(file: Path, encoding: str) -> tuple[str, bool]:
    """The beginning of the text, and whether it is all of it."""
    with file.open("rb") as stream:
        head = stream.read(MAX_HEADER_BYTES + 1)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    return text, len(head) <= MAX_HEADER_BYTES


def _delimiter(head: str, whole: bool, usual: str) -> str:
    """What cuts the first rows evenly, the usual before others; else what cuts most of them so."""
    whole = whole and len(head) <= _HEAD_CHARACTERS
    evenness = {mark: _evenness(head[:_HEAD_CHARACTERS], whole, mark) for mark in [usual, *_DELIMITERS]}
    best: str = max(evenness, key=lambda mark: evenness[mark])
    return best


def _evenness(head: str, whole: bool, delimiter: str) -> float:
    """The fraction of the first rows that have as many columns as the header; zero where that has one."""
    try:
        rows = list(itertools.islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), _ROWS))
    except csv.Error:
        return 0.0
    rows = [row for row in (rows if whole or len(rows) == _ROWS else rows[:-1] or rows) if row]
    if not rows or len(rows[0]) < 2:
        return 0.0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def _check_header(file: Path, head: str, whole: bool, delimiter: str) -> None:
    """ResourceLimit where the column names are too many or too long to be read."""
    lines = io.StringIO(head, newline="")
    try:
        names: list[str] = next(filter(None, csv.reader(lines, delimiter=delimiter)), [])
    except csv.Error as error:
        raise ValueError(f"its line of column names is broken, {error}") from error
    hint = "Keep the columns that are read: an input and a label."
    within(len(names), MAX_COLUMNS, f"{file.name} has more than {MAX_COLUMNS:,} columns", hint)
    if not whole and not lines.read(1):
        raise ResourceLimit(
            f"The line of column names of {file.name} has more than {MAX_HEADER_BYTES:,} bytes.",
            hint="The first line names the columns; a quote that is opened there must be closed.",
            pointer=POINTER,
        )
