"""The first rows of data, for its owner to see how it is read; and rows whose texts are broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.domain.errors import DatasetInvalid
from app.sources.datasets import describe_dataset
from microlith.contract import DatasetInfo, DatasetSpec


def describe(place: Path, **fields: Any) -> DatasetInfo:
    info = describe_dataset(DatasetSpec(ref=f"path:{place}", **fields), ["train"], allow_paths=True)
    assert info is not None
    return info


def test_the_first_rows_are_told_as_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_text('source;text;label\n1;"a\nb";yes\n;c;no\n' + "2;d;no\n" * 9)
    assert describe(file).first_rows == [
        {"text": "a b", "label": "yes", "source": "1"},
        {"text": "c", "label": "no", "source": None},
        *[{"text": "d", "label": "no", "source": "2"}] * 3,
    ]


def test_long_texts_and_many_columns_are_cut_short(tmp_path: Path) -> None:
    columns = {"text": ["x" * 5000], "label": ["y"], **{f"c{n}": [n] for n in range(50)}}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "train.parquet")
    (row,) = describe(tmp_path).first_rows
    assert (len(row), row["text"]) == (20, "x" * 200 + "…")


def test_ids_have_the_names_that_the_data_gives_them_and_bytes_are_not_shown(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    table = pa.table({"text": ["a"], "label": [1], "image": [b"\x89PNG"], "tokens": [[1, 2]]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    (row,) = describe(tmp_path).first_rows
    assert (row["label"], row["image"]) == ("pos", "(binary)")
    assert str(row["tokens"]).startswith("(list")


def test_a_broken_column_that_is_not_read_does_no_harm(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x", "n": 1}, {"text": "b", "label": "y", "n": "one"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert describe(tmp_path).first_rows == [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]


@pytest.mark.parametrize("repeated", [False, True])
def test_a_text_that_is_not_utf8_is_named_by_its_row(tmp_path: Path, repeated: bool) -> None:
    texts = [b"plain" if repeated else b"plain %d" % n for n in range(9000)]
    texts[5003] = b"caf\xe9"
    unchecked = pa.Array.from_buffers(pa.string(), len(texts), pa.array(texts, pa.binary()).buffers())
    table = pa.table({"text": unchecked, "label": ["a"] * len(texts)})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet", use_dictionary=repeated)
    with pytest.raises(DatasetInvalid, match=r"Row 5,004 of train\.parquet is not UTF-8 in column text"):
        describe(tmp_path)
