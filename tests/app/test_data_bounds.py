"""What a data file may hold has bounds: a file beyond them is refused in a sentence, before it costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from app.domain.errors import DatasetInvalid, ResourceLimit
from app.sources import confined_answers
from app.sources.confined_data import question
from app.sources.references import Reference
from app.sources.tables import read_rows
from microlith.contract import DatasetSpec
from tests.data_files import csv_of, parquet, repeated, with_class_names, with_footer

GOOD = {"text": ["a cat", "an oak"], "label": ["animal", "plant"]}


def told(folder: Path, name: str, content: bytes, **columns: str) -> dict[str, Any]:
    """What the confined process would answer, asked in this one."""
    file = folder / name
    file.write_bytes(content)
    source = DatasetSpec(ref="dst_01ARZ3NDEKTSV4RRFFQ69G5FAV", **columns)  # type: ignore[arg-type]
    ref = Reference("upload", source.ref, place=file, called=name)
    return confined_answers.answer(question(source, ["train", "test"], None, ref, file))


def wide(columns: int) -> pa.Table:
    return pa.table(GOOD | {f"c{number}": [1, 2] for number in range(columns)})


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("d.parquet", repeated("x", 1_000_000, 21), "d.parquet has 21,000,000 rows; the limit is 20,000,000"),
        ("d.parquet", repeated("x" * 400_000, 4096), "texts of d.parquet come to more than 256,0"),
        ("d.parquet", repeated("x" * 2_000_001, 2), "A text of d.parquet has more than 2,000,000 bytes"),
        ("d.csv", csv_of(["x" * 2_000_001 + ",a"]), "A text of d.csv has more than 2,000,000 bytes"),
        ("d.parquet", parquet(wide(1_000)), "1,002 columns; the limit is 1,000"),
        ("d.parquet", parquet(pa.table({"text": [{f"f{n}": 1 for n in range(10_001)}]})), "10,001 columns with"),
        ("d.csv", csv_of([], "text,label," + ",".join(f"c{n}" for n in range(100_000))), "more than 1,000 columns"),
        (
            "d.csv",
            b"text,label" + b",%s" % (b"x" * 120_000) * 9,
            "line of column names of d.csv has more than 1,000,000 bytes",
        ),
        ("d.jsonl", b"{%s}" % b",".join(b'"c%d":1' % n for n in range(1_001)), "The data has 1,001 columns"),
        ("d.parquet", with_class_names([f"n{n}" for n in range(10_001)]), "names 10,001 classes; the limit is 10,000"),
        ("d.parquet", with_class_names([f"n{n}" for n in range(1_000_000)]), "footer of d.parquet has 2"),
        ("d.csv", csv_of([f"a,{n:0900}" for n in range(1_200)]), "labels have 1,080,000 characters together"),
    ],
)
def test_what_is_beyond_a_bound_is_told_the_bound(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(ResourceLimit, match=sentence) as refusal:
        told(tmp_path, name, content)
    assert refusal.value.pointer == "/dataset"
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("d.csv", csv_of(["a,x", "b," + "y" * 1_001]), "A label of d.csv has more than 1,000 characters"),
        ("d.csv", csv_of(["a," + "y" * 5_000_000]), "A label of d.csv has more than 1,000 characters"),
        ("d.csv", csv_of(["a,x\0"]), "A label of d.csv has a NUL"),
        ("d.jsonl", b'{"text": "a", "label": "x\\u0000"}\n', "A label of d.jsonl has a NUL"),
        ("d.jsonl", b'{"text": "a", "label": "\\ud800"}\n', "cannot be read"),
        ("d.parquet", with_class_names(["a", "b" * 1_001]), "Class name bbb.* is too long"),
        ("d.parquet", with_class_names(["a", "b\0"]), "Class name b� is too long or not a text"),
        ("d.csv", csv_of(["a,b,1"], "text,label," + "c" * 501), "name of column ccc.* is too long"),
        ("d.jsonl", b'{"text": "a", "label": "b", "c\\ud800": 1}\n', "name of column c� is too long or not a text"),
        ("d.jsonl", b'{"text": "a", "label": "b", "c\\u0000": 1}\n', "name of column c� is too long or not a text"),
        ("d.csv", csv_of(["a,b,c"], "text,label,text"), "2 columns with the name text"),
        ("d.csv", csv_of(["a,b,c,d"], "text,label,other,other"), "2 columns with the name other"),
        ("d.jsonl", b'{"text": "a", "label": "b", "text": "c"}\n', "2 columns with the name text"),
        (
            "d.parquet",
            parquet(pa.Table.from_arrays([pa.array(["a"])] * 3, names=["text", "label", "label"])),
            "2 columns with the name label",
        ),
        ("d.jsonl", b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "cannot be read: maximum recursion"),
        ("d.jsonl", b'{"text": "a", "label": %s}\n' % (b"9" * 5_000), "cannot be read"),
        ("d.csv", b'text,label\n"' + b"abc,\n" * 4_000_000, "cannot be read"),
        *(
            ("d.parquet", with_footer(content), "cannot be read")
            for content in (b"{bad", b"[]", b"null", b'{"info": null}', b'{"info": {"features": []}}', b"[" * 100_000)
        ),
        ("d.parquet", b"PAR1PAR1", "cannot be read"),
        ("d.parquet", parquet(pa.table(GOOD))[:-50], "cannot be read"),
        ("d.parquet", parquet(pa.table(GOOD))[:-8] + b"\xff\xff\xff\x7fPAR1", "cannot be read"),
    ],
)
def test_what_nobody_can_have_meant_is_bad_input(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(DatasetInvalid, match=sentence) as refusal:
        told(tmp_path, name, content)
    assert str(tmp_path) not in refusal.value.detail
    assert len(refusal.value.detail) < 500


@pytest.mark.parametrize("column", ["text", "label"])
def test_texts_that_are_no_utf8_are_bad_input(tmp_path: Path, column: str) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    table = pa.table({"text": ["a"], "label": ["b"]} | {column: broken})
    with pytest.raises(DatasetInvalid, match=f"Row 1 of .* is not UTF-8 in column {column}"):
        told(tmp_path, "d.parquet", parquet(table))


def test_one_column_is_not_both_text_and_label(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="Column text is named both as `text_column` and as `label_column`") as no:
        told(tmp_path, "d.csv", csv_of(["a,b"]), text_column="text", label_column="text")
    assert no.value.pointer == "/dataset/label_column"


def test_rows_of_all_files_of_a_split_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.datasets.MAX_ROWS", 5)
    for shard in range(2):
        (tmp_path / f"train-0000{shard}-of-00002.csv").write_bytes(csv_of(["a,b"] * 3))
    source = DatasetSpec(ref="dst_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(ResourceLimit, match="The train split has 6 rows; the limit is 5"):
        confined_answers.answer(question(source, ["train"], None, Reference("upload", "x", place=tmp_path), tmp_path))


def test_labels_of_all_splits_count_together(tmp_path: Path) -> None:
    for role in ("train", "test"):
        (tmp_path / f"{role}.csv").write_bytes(csv_of([f"a,{role}{number}" for number in range(6_000)]))
    source = DatasetSpec(ref="dst_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    with pytest.raises(ResourceLimit, match="The data has 12,000 different labels; the limit is 10,000"):
        confined_answers.answer(
            question(source, ["train", "test"], None, Reference("upload", "x", place=tmp_path), tmp_path)
        )


def test_a_message_lists_a_few_of_many_columns(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" * 40 for number in range(900))
    with pytest.raises(DatasetInvalid, match="and 880 more") as refusal:
        told(tmp_path, "d.csv", csv_of([], header) + b",".join([b"1"] * 900))
    assert len(refusal.value.detail) < 4_000


def test_a_type_is_told_in_a_few_characters(tmp_path: Path) -> None:
    table = pa.table(GOOD | {"more": [{f"field{n}": 1 for n in range(500)}] * 2})
    assert len(told(tmp_path, "d.parquet", parquet(table))["columns"]["more"]) <= 101


def test_a_text_that_is_repeated_comes_in_small_pieces(tmp_path: Path) -> None:
    """A hundred texts of 400 KB are one in the file; whoever reads them holds 16 MB of them at once."""
    file = tmp_path / "d.parquet"
    file.write_bytes(repeated("x" * 400_000, 100))
    pieces = list(read_rows(file, ["text"], "label"))
    assert [len(texts) for texts, _ in pieces] == [40, 40, 20]
    assert {text for texts, _ in pieces for text in texts.to_pylist()} == {"x" * 400_000}
    assert [label for _, labels in pieces for label in labels.to_pylist()] == ["a", "b"] * 50


def test_ordinary_rows_come_whole_in_batches_whatever_their_width(tmp_path: Path) -> None:
    texts = [f"{number} " * (number % 50) for number in range(9_000)]
    file = tmp_path / "d.parquet"
    file.write_bytes(parquet(pa.table({"text": texts, "label": [str(len(text)) for text in texts]})))
    found = list(read_rows(file, ["text"], "label"))
    assert [text for batch, _ in found for text in batch.to_pylist()] == texts
    assert [label for _, batch in found for label in batch.to_pylist()] == [str(len(text)) for text in texts]
