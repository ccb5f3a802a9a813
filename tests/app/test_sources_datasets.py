"""Data files known by their schemas and their label counts."""

import json
import re

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from app.domain.errors import DatasetInvalid
from app.sources.confined_data import known_datasets
from app.sources.datasets import describe_dataset
from microlith.contract import DatasetSpec, Splits

ROWS = {"text": ["one", "2024-01-01", "three", "four"], "label": ["yes", "no", "yes", "yes"]}


def write(file, rows=ROWS, schema=None):
    table = pa.table(rows, schema=schema)
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(table, file)
    elif file.suffix == ".csv":
        pyarrow.csv.write_csv(table, file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return file


def describe(place, *roles, **fields):
    return describe_dataset(DatasetSpec(ref=f"path:{place}", **fields), roles or ("train",), allow_paths=True)


@pytest.mark.parametrize("name", ["train.parquet", "train.csv", "train.jsonl", "train.json"])
def test_every_format_tells_the_same(tmp_path, name):
    write(tmp_path / name)
    info = describe(tmp_path)
    assert (info.text_column, info.label_column) == ("text", "label")
    assert info.splits["train"].rows == 4
    assert info.splits["train"].labels == {"no": 1, "yes": 3}


@pytest.mark.parametrize("name", ["train.parquet", "train.csv", "train.jsonl"])
def test_ids_are_counted_as_digits_in_the_order_of_numbers(tmp_path, name):
    write(tmp_path / name, {"text": ["a", "b", "c"], "label": [10, 9, 10]})
    assert list(describe(tmp_path).splits["train"].labels.items()) == [("9", 1), ("10", 2)]


def test_the_demo_data_is_known_with_all_its_splits():
    (info,) = known_datasets()
    assert {role: split.rows for role, split in info.splits.items()} == {
        "train": 27556,
        "validation": 3444,
        "test": 3445,
    }
    assert len(info.splits["test"].labels) == 12


def test_class_names_of_a_hugging_face_schema_name_the_ids(tmp_path):
    features = {"label": {"names": ["neg", "pos", "never"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())], metadata=metadata)
    write(tmp_path / "train.parquet", {"text": ["a", "b", "c"], "label": [1, 0, -1]}, schema)
    info = describe(tmp_path)
    assert info.class_names == ["neg", "pos", "never"]
    assert info.splits["train"].labels == {"neg": 1, "pos": 1, "never": 0, "-1": 1}


def test_usual_other_names_are_found(tmp_path):
    write(tmp_path / "dev.csv", {"sentence": ["a"], "labels": [1]})
    info = describe(tmp_path, "validation")
    assert (info.text_column, info.label_column) == ("sentence", "labels")


def test_shards_and_the_data_folder_are_one_split(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-00000-of-00002.parquet")
    write(tmp_path / "data" / "train-00001-of-00002.parquet")
    assert describe(tmp_path).splits["train"].rows == 8


def test_splits_name_files_and_a_single_file_plays_every_role(tmp_path):
    write(tmp_path / "mine.csv")
    info = describe(tmp_path, "test", splits=Splits(test="mine.csv"))
    assert info.splits["test"].rows == 4
    assert set(describe(tmp_path / "mine.csv", "train", "test").splits) == {"train", "test"}


def test_only_the_roles_of_the_job_are_needed(tmp_path):
    write(tmp_path / "train.parquet")
    assert list(describe(tmp_path, "train").splits) == ["train"]
    with pytest.raises(DatasetInvalid, match=r"test split \(test\). Data files there: train\.parquet") as refusal:
        describe(tmp_path, "train", "test")
    assert refusal.value.pointer == "/dataset/splits/test"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("train.xlsx", "save each sheet as CSV"), ("Data.ODS", "save each sheet"), ("dataset_dict.json", "write Parquet")],
)
def test_what_is_not_read_is_refused_with_what_to_do(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(DatasetInvalid) as refusal:
        describe(tmp_path)
    assert remedy in refusal.value.hint
    if not name.endswith("json"):
        with pytest.raises(DatasetInvalid, match="is not a data file") as refusal:
            describe(tmp_path / name)
        assert remedy in refusal.value.hint


@pytest.mark.parametrize("name", ["../secret.csv", "/etc/passwd", "nothing.csv"])
def test_a_split_is_a_file_of_the_folder(tmp_path, name):
    (tmp_path / "inside").mkdir()
    write(tmp_path / "secret.csv")
    write(tmp_path / "inside" / "train.csv")
    with pytest.raises(DatasetInvalid, match="There is no file"):
        describe(tmp_path / "inside", splits=Splits(train=name))


def test_two_candidates_for_a_split_are_not_guessed_between(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match=r"Several files could be the train split: train\.csv, train\.parquet"):
        describe(tmp_path)


@pytest.mark.parametrize("field", ["text_column", "label_column"])
def test_an_unknown_column_is_answered_with_the_known_ones(tmp_path, field):
    write(tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match=r"Columns: text, label\.") as refusal:
        describe(tmp_path, **{field: "nope"})
    assert refusal.value.pointer == f"/dataset/{field}"


@pytest.mark.parametrize("name", ["train.parquet", "train.csv", "train.jsonl"])
def test_missing_labels_are_counted(tmp_path, name):
    write(tmp_path / name, {"text": ["a", "b", "c"], "label": ["yes", None, None]})
    with pytest.raises(DatasetInvalid, match=rf"2 rows of {name} have no label"):
        describe(tmp_path)


def test_missing_texts_are_counted_and_empty_texts_are_texts(tmp_path):
    (tmp_path / "train.csv").write_text('text,label\n"",yes\nb,no\n')
    assert describe(tmp_path).splits["train"].rows == 2
    (tmp_path / "train.csv").write_text("text,label\n,yes\nb,no\n")
    with pytest.raises(DatasetInvalid, match=r"1 rows of train\.csv have no text"):
        describe(tmp_path)


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl"])
def test_whole_floats_are_ids(tmp_path, name):
    write(tmp_path / name, {"text": ["a", "b", "c"], "label": [1.0, 0.0, 1.0]})
    assert describe(tmp_path).splits["train"].labels == {"0": 1, "1": 2}


def test_nan_is_a_missing_label(tmp_path):
    write(tmp_path / "train.parquet", {"text": ["a", "b"], "label": [1.0, float("nan")]})
    with pytest.raises(DatasetInvalid, match=r"1 rows of train\.parquet have no label"):
        describe(tmp_path)


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl"])
def test_numbers_with_a_fraction_are_no_labels(tmp_path, name):
    write(tmp_path / name, {"text": ["a", "b"], "label": [0.5, 1.5]})
    with pytest.raises(DatasetInvalid, match="Column label holds double"):
        describe(tmp_path)


def test_numbers_are_no_texts(tmp_path):
    write(tmp_path / "train.parquet", {"text": [1, 2], "label": [0, 1]})
    with pytest.raises(DatasetInvalid, match="Column text holds int64, not text"):
        describe(tmp_path)


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (b"text;label\na, b;yes\nc;no\n", "with semicolons between"),
        (b"text|label\na, b|yes\nc|no\n", r"with bars \(\|\) between"),
        (b"text\tlabel\na, b\tyes\nc\tno\n", "with tabs between"),
        ("text,label\ncafé,yes\nb,no\n".encode("latin-1"), r"latin-1: it is not UTF-8 \(byte 0xE9 in line 2\)"),
        ("text,label\nb,yes\n5 €,no\n".encode("cp1252"), r"cp1252: it is not UTF-8 \(byte 0x80 in line 3\)"),
        ("text;label\né;yes\nb;no\n".encode("utf-16"), "utf-16: it begins with its mark"),
        ("text,label\né,yes\nb,no\n".encode("utf-16-le"), "utf-16-le: every second byte is zero"),
    ],
)
def test_a_csv_file_is_read_as_it_comes_and_the_guess_is_told(tmp_path, content, warning):
    (tmp_path / "train.csv").write_bytes(content)
    info = describe(tmp_path)
    assert info.splits["train"].labels == {"no": 1, "yes": 1}
    assert re.search(warning, info.warnings[0])


@pytest.mark.parametrize(
    "content",
    [
        b"text,label\na,yes\nb,no\n",
        b"\xef\xbb\xbftext,label\na,yes\nb,no\n",
        b'\n  \ntext,label\r\n"a\nc; d",yes\r\nb,no\r\n',
        b"text,label\n1;2,yes\n3;4,no\n",
    ],
)
def test_usual_csv_is_read_without_a_word(tmp_path, content):
    (tmp_path / "train.csv").write_bytes(content)
    info = describe(tmp_path)
    assert (info.splits["train"].labels, info.warnings) == ({"no": 1, "yes": 1}, [])


def test_tabs_are_what_a_tsv_file_is_for(tmp_path):
    (tmp_path / "train.tsv").write_text("text\tlabel\na, b\tyes\n")
    assert (describe(tmp_path).splits["train"].labels, describe(tmp_path).warnings) == ({"yes": 1}, [])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("text,label\nété à côté,yes\n".encode() + b"caf\xe9,no\n", "UTF-8, but not in all places.* 0xE9 in line 3"),
        ("text,label\nПривет мир снова,да\n".encode("cp1251"), "not UTF-8 .*, and not of Western Europe"),
    ],
)
def test_an_encoding_that_nobody_can_tell_is_asked_for(tmp_path, content, what):
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(DatasetInvalid, match=what) as refusal:
        describe(tmp_path)
    assert refusal.value.pointer == "/dataset/encoding"


def test_the_form_of_csv_files_can_be_named(tmp_path):
    (tmp_path / "train.csv").write_bytes("text;other|label\nмир;1|да\n".encode("cp1251"))
    info = describe(tmp_path, encoding="cp1251", delimiter="|", text_column="text;other")
    assert (info.splits["train"].labels, info.warnings) == ({"да": 1}, [])


@pytest.mark.parametrize("label", ["1.0", "true", "2024-01-01", "12:30", "NULL", "nan"])
def test_texts_and_labels_of_csv_are_what_is_written_whatever_it_looks_like(tmp_path, label):
    (tmp_path / "train.csv").write_text(f"text,label\n12,{label}\n34,{label}\n")
    assert describe(tmp_path).splits["train"].labels == {label: 2}


def test_empty_texts_are_counted_with_the_first_rows(tmp_path):
    (tmp_path / "train.csv").write_text('text,label\na,x\n"",x\n"  ",x\n' + '"",x\n' * 6)
    (warning,) = describe(tmp_path).warnings
    assert warning.startswith("8 texts are empty in the train split (rows 2, 3, 4, 5, 6, …)")


def test_one_file_in_several_roles_is_told(tmp_path):
    file = write(tmp_path / "all.csv")
    assert describe(file).warnings == []
    (warning,) = describe(file, "test", "train", "validation").warnings
    assert "The test, train and validation splits are the same rows: what calibrates is also what measures" in warning


@pytest.mark.parametrize(
    ("read", "other"), [("premise", "hypothesis"), ("sentence1", "sentence2"), ("text", "text_b"), ("q1", "q2")]
)
def test_a_second_column_of_texts_is_told(tmp_path, read, other):
    write(tmp_path / "train.csv", {read: ["a"], other: ["b"], "source": ["c"], "label": ["yes"]})
    assert f"a second column of texts, {other}, which is not read" in describe(tmp_path, text_column=read).warnings[0]


def test_a_json_array_of_records_is_read(tmp_path):
    (tmp_path / "train.json").write_text(
        json.dumps([{"text": "a", "label": 1}, {"label": 0, "text": "b"}] * 3, indent=1)
    )
    assert describe(tmp_path).splits["train"].labels == {"0": 3, "1": 3}


@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_a_first_record_may_be_larger_than_a_block(tmp_path, name):
    records = [{"other": "x" * 20_000_000, "text": "a", "label": 1}, {"other": "", "text": "b", "label": 1}]
    lines = "\n\n" + "\n".join(map(json.dumps, records))
    (tmp_path / name).write_text(lines if name == "train.jsonl" else json.dumps(records))
    assert describe(tmp_path).splits["train"].labels == {"1": 2}


@pytest.mark.parametrize("name", ["train.parquet", "train.csv"])
def test_a_split_without_rows_is_refused(tmp_path, name):
    write(tmp_path / name, {"text": pa.array([], pa.string()), "label": pa.array([], pa.string())})
    with pytest.raises(DatasetInvalid):
        describe(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.parquet", b"PAR1 not really"),
        ("train.csv", b""),
        ("train.csv", b"text,label\na\n"),
        ("train.jsonl", b"[1, 2]\n"),
        ("train.json", b'[{"text": "a", "label": 1}, 2]'),
        ("train.json", b'[{"text": "a", "label": 1}'),
        ("train.jsonl", b'{"text": "a", "label": 1}\n{"text": "b", "label": "one"}\n'),
        ("train.jsonl", b""),
    ],
)
def test_a_broken_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetInvalid, match=rf"{name} cannot be read") as refusal:
        describe(tmp_path)
    assert "JSON Lines" in refusal.value.hint


def test_a_column_of_ten_thousand_values_is_no_label_column(tmp_path):
    write(tmp_path / "train.parquet", {"text": ["a"] * 10_001, "label": [str(i) for i in range(10_001)]})
    with pytest.raises(DatasetInvalid, match="it is the label column"):
        describe(tmp_path)


def test_a_changed_file_is_counted_again(tmp_path):
    write(tmp_path / "train.csv")
    before = describe(tmp_path)
    write(tmp_path / "train.csv", {"text": ["a"], "label": ["no"]})
    after = describe(tmp_path)
    assert after.splits["train"].rows == 1
    assert after.sha256 != before.sha256


def test_hub_data_is_left_to_the_worker():
    assert describe_dataset(DatasetSpec(ref="hub:org/data"), ["train"], allow_paths=False) is None
