"""Whatever bytes a data file has, the answer is a description or an error of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidInput
from app.sources import confined_answers
from app.sources.confined_data import question
from app.sources.references import Reference
from microlith.contract import DatasetSpec
from tests.app.fuzz.mutations import fuzzed, mutated
from tests.data_files import csv_of, parquet, with_class_names

ROWS = pa.table(
    {"text": ["a cat", "an oak", None, "naïve"] * 5, "label": ["x", "y"] * 10, "more": [{"a": [1, 2]}] * 20}
)
PARQUETS = (parquet(ROWS), parquet(ROWS, compression="zstd", use_dictionary=False), with_class_names(["neg", "pos"]))
CSV = csv_of(["a cat,x,1", '"an ""oak"", tall",y,2', ",x,", '"two\nlines",y,3'], "text,label,more")
LINES = b"".join(
    json.dumps({"text": text, "label": label, "more": [1.5, {"a": None}]}).encode() + b"\n"
    for text, label in (("a cat", "x"), ("naïve \U0001f600", "y"), ("", "x"))
)


def told(content: bytes, ending: str) -> None:
    """Ask in this process, so that what is no error of ours is seen."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"d{ending}"
        file.write_bytes(content)
        source = DatasetSpec(ref="dst_01ARZ3NDEKTSV4RRFFQ69G5FAV")
        ref = Reference("upload", source.ref, place=file, called=file.name)
        said = ""
        try:
            json.dumps(confined_answers.answer(question(source, ["train"], None, ref, file))).encode()
        except InvalidInput as error:
            said = error.detail
        assert folder not in said.encode().decode()


@fuzzed
@given(st.one_of(*(mutated(content) for content in PARQUETS)))
def test_any_bytes_in_a_parquet_file(content: bytes) -> None:
    told(content, ".parquet")


@fuzzed
@given(
    st.one_of(*(mutated(content, len(content) - int.from_bytes(content[-8:-4], "little") - 8) for content in PARQUETS))
)
def test_any_bytes_in_the_footer_of_a_parquet_file(content: bytes) -> None:
    told(content, ".parquet")


@fuzzed
@given(st.one_of(mutated(CSV), st.binary(max_size=200)))
def test_any_bytes_in_a_csv_file(content: bytes) -> None:
    told(content, ".csv")


@fuzzed
@given(st.one_of(mutated(LINES), st.binary(max_size=200)))
def test_any_bytes_in_a_file_of_json_lines(content: bytes) -> None:
    told(content, ".jsonl")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@fuzzed
@given(st.lists(st.fixed_dictionaries({"text": json_values, "label": json_values}), min_size=1, max_size=4))
def test_any_values_in_a_file_of_json_lines(rows: list[object]) -> None:
    told(b"".join(json.dumps(row).encode() + b"\n" for row in rows), ".jsonl")


@fuzzed
@given(json_values)
def test_any_class_names_in_a_footer(names: object) -> None:
    with suppress(UnicodeEncodeError):  # what Arrow itself does not write
        told(with_class_names(names), ".parquet")
