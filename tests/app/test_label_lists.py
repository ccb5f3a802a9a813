"""Labels of rows that may have several: every form they come in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from app.domain.errors import DatasetInvalid, UnknownLabels
from app.sources.datasets import describe_dataset
from app.sources.label_columns import check_label_columns
from app.sources.models import describe_model
from microlith.contract import DatasetInfo, DatasetSpec

NAMES = ["joy", "anger", "fear", "love"]
MODEL = describe_model("demo:bert-tiny-wordnet", allow_paths=False)
COUNTS = {"anger": 1, "fear": 1, "joy": 2}
IDS = {"0": 2, "1": 1, "2": 1}


def described(file: Path, *, labels: list[str] | None = None, several: bool = True, **fields: Any) -> DatasetInfo:
    """The file as a model of these labels reads it; without any model where there are none."""
    assert MODEL is not None
    model = MODEL.model_copy(update={"labels": labels, "multi_label": several}) if labels is not None else None
    source = DatasetSpec(ref=f"path:{file}", **fields)
    info = describe_dataset(source, ["train"], model=model, allow_paths=True)
    assert info is not None
    return info


def parquet(at: Path, labels: pa.Array, metadata: dict[str, str] | None = None) -> Path:
    table = pa.table({"text": [f"text {n}" for n in range(len(labels))], "labels": labels})
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), at / "data.parquet")
    return at / "data.parquet"


def csv(at: Path, *cells: str) -> Path:
    quoted = ('"' + cell.replace('"', '""') + '"' if cell else "" for cell in cells)
    (at / "data.csv").write_text("text,labels\n" + "".join(f"text {n},{cell}\n" for n, cell in enumerate(quoted)))
    return at / "data.csv"


def lines(at: Path, *labels: object) -> Path:
    rows = (json.dumps({"text": f"text {n}", "labels": value}) for n, value in enumerate(labels))
    (at / "data.jsonl").write_text("\n".join(rows))
    return at / "data.jsonl"


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        (['["joy", "anger"]', "[]", '["fear", "joy"]'], COUNTS),
        (["joy|anger", "[]", "fear | joy"], COUNTS),
        (["0|1", "[]", "2|0"], IDS),
        (["[0, 1]", "[]", "[2, 0]"], IDS),
        (["[true, true, false, false]", "[]", "[1, 0, 1, 0]"], IDS),
    ],
)
def test_lists_in_a_csv_cell_are_json_or_names_with_a_bar_between(
    tmp_path: Path, cells: list[str], counts: dict[str, int]
) -> None:
    split = described(csv(tmp_path, *cells), labels=NAMES).splits["train"]
    assert (split.rows, split.labels) == (3, counts)


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        (pa.array([["joy", "anger"], [], ["fear", "joy"]]), COUNTS),
        (pa.array([[0, 1], [], [2, 0]]), IDS),
        (pa.array([[0.0, 1.0], [], [2.0, 0.0]]), IDS),
        (pa.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]), IDS),
        (pa.array([[1.0, 1.0, 0.0, 0.0], [0.0] * 4, [1.0, 0.0, 1.0, 0.0]], pa.list_(pa.float32(), 4)), IDS),
        (pa.array([[True, True, False, False], [False] * 4, [True, False, True, False]]), IDS),
        (pa.array(["joy|anger", "[]", '["fear", "joy"]']).dictionary_encode(), COUNTS),
    ],
    ids=["names", "ids", "whole floats", "0 and 1", "0.0 and 1.0", "booleans", "texts"],
)
def test_lists_of_parquet_are_names_ids_or_0_and_1_for_each_label(
    tmp_path: Path, labels: pa.Array, counts: dict[str, int]
) -> None:
    split = described(parquet(tmp_path, labels), labels=NAMES).splits["train"]
    assert (split.rows, split.labels) == (3, counts)


def test_a_column_of_one_id_in_each_row_is_lists_of_one(tmp_path: Path) -> None:
    split = described(parquet(tmp_path, pa.array([3, 0, 3])), labels=NAMES).splits["train"]
    assert split.labels == {"0": 1, "3": 2}


@pytest.mark.parametrize(
    "labels", [([], ["joy", "anger"], ["fear", "joy"]), (["joy", "anger"], [], ["fear", "joy"])], ids=str
)
def test_json_lines_hold_lists_and_the_first_may_be_empty(tmp_path: Path, labels: tuple[list[str], ...]) -> None:
    split = described(lines(tmp_path, *labels), labels=NAMES).splits["train"]
    assert (split.rows, split.labels) == (3, COUNTS)


@pytest.mark.parametrize("kind", [{"feature": {"names": NAMES}, "_type": "List"}, [{"names": NAMES}]], ids=str)
def test_class_names_of_a_hugging_face_schema_name_the_ids_in_lists(tmp_path: Path, kind: object) -> None:
    stated = json.dumps({"info": {"features": {"labels": kind}}})
    file = parquet(tmp_path, pa.array([[0, 1], [], [2, 0]]), {"huggingface": stated})
    info = described(file, labels=NAMES)
    assert info.class_names == NAMES
    assert info.splits["train"].labels == {"joy": 2, "anger": 1, "fear": 1, "love": 0}


def test_without_a_model_lists_are_known_by_their_looks(tmp_path: Path) -> None:
    split = described(parquet(tmp_path, pa.array([["joy", "anger"], [], ["fear", "joy"]]))).splits["train"]
    assert (split.rows, split.labels) == (3, COUNTS)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("['joy', 'anger']", "are no JSON list"),
        ('["joy", "joy"]', "a list with a label twice"),
        ("joy||anger", "a list in which a label is empty"),
        ('["joy", 1]', "neither names nor whole numbers"),
        ("[0.5, 1]", "neither names nor whole numbers"),
        ("[null]", "neither names nor whole numbers"),
        ("[[0]]", "neither names nor whole numbers"),
        ("[3, 3]", "a list with a label twice"),
        ("[0, 1, 0]", "3 values of 0 and 1, and the model has 4 labels"),
        ("[0, 2, 1, 0]", "a list with a label twice"),
    ],
)
def test_what_is_no_list_of_labels_is_refused_with_the_forms_there_are(tmp_path: Path, cell: str, told: str) -> None:
    with pytest.raises(DatasetInvalid, match=told) as refusal:
        described(csv(tmp_path, cell), labels=NAMES)
    assert refusal.value.hint == 'Write a JSON list (["a", "b"], [] for none), or names with | between them.'
    assert refusal.value.pointer == "/dataset/label_column"


def test_two_ids_that_may_be_0_and_1_for_two_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="two ids, or 0 and 1 for the model's two labels"):
        described(parquet(tmp_path, pa.array([[0, 1]])), labels=NAMES[:2])
    split = described(parquet(tmp_path, pa.array([[1, 1], [0, 0]])), labels=NAMES[:2]).splits["train"]
    assert (split.rows, split.labels) == (2, {"0": 1, "1": 1})


def test_a_bar_is_no_separator_where_a_label_has_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="in them as the model's"):
        described(csv(tmp_path, "joy|anger"), labels=["joy", "anger", "joy|anger"])
    split = described(csv(tmp_path, '["joy|anger"]'), labels=["joy", "anger", "joy|anger"]).splits["train"]
    assert split.labels == {"joy|anger": 1}


def test_a_row_without_a_value_is_refused_and_how_to_write_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match=r"1 rows of data\.csv have no labels") as refusal:
        described(csv(tmp_path, "joy", ""), labels=NAMES)
    assert "`[]`" in (refusal.value.hint or "")


def test_lists_for_a_model_of_one_class_are_refused_with_what_its_config_would_say(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="Labels are whole numbers") as refusal:
        described(parquet(tmp_path, pa.array([["joy"]])), labels=NAMES, several=False)
    assert "multi_label_classification" in (refusal.value.hint or "")


COLUMNS = "text,joy,anger\none,1,0\ntwo,0,0\nthree,1,1\n"


def columns(at: Path, content: str = COLUMNS) -> Path:
    (at / "data.csv").write_text(content)
    return at / "data.csv"


@pytest.mark.parametrize("yes_no", [("1", "0"), ("True", "False"), ("true", "false"), ("1.0", "0.0")])
def test_a_column_for_each_label_says_which_rows_have_it(tmp_path: Path, yes_no: tuple[str, str]) -> None:
    yes, no = yes_no
    file = columns(tmp_path, f"text,joy,anger\none,{yes},{no}\ntwo,{no},{no}\nthree,{yes},{yes}\n")
    info = described(file, labels=NAMES[:2], label_columns=["joy", "anger"])
    assert (info.splits["train"].rows, info.splits["train"].labels) == (3, {"joy": 2, "anger": 1})
    assert (info.label_column, info.label_columns) == (None, ["joy", "anger"])


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.float64()], ids=str)
def test_columns_of_parquet_say_it_in_any_type(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"text": ["a", "b"], "joy": pa.array([1, 0]).cast(kind), "anger": pa.array([1, 1]).cast(kind)})
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    info = described(tmp_path / "data.parquet", labels=NAMES[:2], label_columns=["joy", "anger"])
    assert info.splits["train"].labels == {"joy": 1, "anger": 2}


@pytest.mark.parametrize(
    ("content", "fields", "told", "pointer"),
    [
        (COLUMNS.replace("0,0", "-1,0"), {}, "other values than 0 and 1: '-1'", "label_columns"),
        (COLUMNS.replace("0,0", "0,"), {}, "1 rows of data.csv have no joy", ""),
        (COLUMNS, {"label_columns": ["joy", "fear"]}, "has no column fear", "label_columns"),
        (COLUMNS, {"label_columns": ["joy", "joy"]}, "Column joy is named twice", "label_columns"),
        (COLUMNS, {"label_column": "joy"}, "but not both", "label_columns"),
        (COLUMNS, {"text_column": "joy"}, "named both as `text_column` and as `label_columns`", "label_columns"),
    ],
)
def test_columns_that_cannot_be_read_so_are_refused(
    tmp_path: Path, content: str, fields: dict[str, Any], told: str, pointer: str
) -> None:
    asked: dict[str, Any] = {"label_columns": ["joy", "anger"], **fields}
    with pytest.raises(DatasetInvalid, match=told) as refusal:
        described(columns(tmp_path, content), labels=NAMES[:2], **asked)
    assert refusal.value.pointer == f"/dataset/{pointer}".rstrip("/")


def test_columns_are_proposed_where_each_label_has_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="no column label") as refusal:
        described(columns(tmp_path), labels=NAMES[:2])
    assert refusal.value.hint == 'Name them: "label_columns": ["joy", "anger"].'


def test_several_columns_for_a_model_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalid, match="one class for each input"):
        described(columns(tmp_path), labels=NAMES[:2], several=False, label_columns=["joy", "anger"])


def test_every_label_of_the_model_has_one_column() -> None:
    def check(columns: list[str], labels: dict[str, str]) -> None:
        source = DatasetSpec(ref="path:/data.csv", label_columns=columns, labels=labels)
        check_label_columns(source, NAMES[:3])

    check(["joy", "anger", "fear"], {})
    check(["Joy", "a", "fear"], {"a": "anger"})
    with pytest.raises(DatasetInvalid, match="The label fear has no column"):
        check(["joy", "anger"], {})
    with pytest.raises(DatasetInvalid, match=r"The label joy has 2 columns \(a, joy\)|\(joy, a\)"):
        check(["joy", "a", "anger", "fear"], {"a": "joy"})
    with pytest.raises(UnknownLabels, match="hate"):
        check(["joy", "anger", "hate"], {})
