"""Rows of two texts: read from every format, told where a text is missing or empty, refused where they cannot be."""

import json

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from app.domain.errors import DatasetInvalid
from app.sources.columns import Columns
from app.sources.datasets import describe_dataset
from app.sources.models import describe_model
from app.sources.tables import read_rows
from microlith.contract import DatasetSpec, JobSpec
from tests.builders import tiny_model

PREMISES, HYPOTHESES = ["a dog", "a cat", "2024-01-01", "d"], ["an animal", "a tool", "1.0", "e"]
ROWS = {"premise": PREMISES, "label": ["yes", "no", "yes", "no"], "hypothesis": HYPOTHESES}
NAMED = {"text_column": "premise", "text_pair_column": "hypothesis"}


def write(file, rows=ROWS):
    table = pa.table(rows)
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(table, file)
    elif file.suffix == ".csv":
        pyarrow.csv.write_csv(table, file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(table.to_pylist()))
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    return file


def describe(place, model=None, **fields):
    source = DatasetSpec(ref=f"path:{place}", **(NAMED | fields))
    return describe_dataset(source, ["train"], model=model, allow_paths=True)


@pytest.mark.parametrize("name", ["train.parquet", "train.csv", "train.jsonl", "train.json"])
def test_every_format_gives_the_same_pairs(tmp_path, name):
    file = write(tmp_path / name)
    info = describe(tmp_path)
    assert (info.text_column, info.text_pair_column, info.label_column) == ("premise", "hypothesis", "label")
    assert (info.splits["train"].labels, info.warnings) == ({"no": 2, "yes": 2}, [])
    columns = Columns("text", "premise", "label", "hypothesis")
    batches = list(read_rows(file, columns.inputs, columns.label))
    read = {name: [] for name in columns.inputs}
    for inputs, _ in batches:
        for column, values in columns.split(inputs).items():
            read[column] += values.to_pylist()
    assert read == {"premise": PREMISES, "hypothesis": HYPOTHESES}


@pytest.mark.parametrize("name", ["train.parquet", "train.csv", "train.jsonl"])
@pytest.mark.parametrize("column", ["premise", "hypothesis"])
def test_a_missing_text_of_a_pair_is_counted_by_its_column(tmp_path, name, column):
    write(tmp_path / name, ROWS | {column: ["a", None, None, "d"]})
    with pytest.raises(DatasetInvalid, match=rf"2 rows of {name} have no {column}"):
        describe(tmp_path)


def test_pairs_with_an_empty_text_are_told_with_their_rows(tmp_path):
    write(tmp_path / "train.parquet", ROWS | {"premise": ["a", " ", "c", ""], "hypothesis": ["a", "", "\n", "d"]})
    assert describe(tmp_path).warnings == [
        "3 pairs have an empty text in the train split (rows 2, 3, 4): answered and measured all the same."
    ]


@pytest.mark.parametrize(
    ("fields", "pointer", "says"),
    [
        ({"text_pair_column": "premise"}, "text_pair_column", "named both as `text_column` and as `text_pair_column`"),
        ({"text_pair_column": "label"}, "text_pair_column", "named both as `label_column` and as `text_pair_column`"),
        ({"text_pair_column": "nope"}, "text_pair_column", "no column nope. Columns: premise, label, hypothesis"),
        ({"text_pair_column": "number"}, "text_pair_column", "number holds int64, not text"),
    ],
)
def test_a_column_that_cannot_hold_second_texts_is_refused(tmp_path, fields, pointer, says):
    write(tmp_path / "train.parquet", ROWS | ({"number": [1, 2, 3, 4]} if "number" in fields.values() else {}))
    with pytest.raises(DatasetInvalid, match=says) as refusal:
        describe(tmp_path, **fields)
    assert refusal.value.pointer == f"/dataset/{pointer}"


def test_a_model_of_images_reads_no_pairs(tmp_path):
    write(tmp_path / "train.parquet")
    tiny_model("vit").save_pretrained(tmp_path / "vit")
    model = describe_model(f"path:{tmp_path / 'vit'}", allow_paths=True)
    with pytest.raises(DatasetInvalid, match="reads images, so `text_pair_column` cannot be used") as refusal:
        describe(tmp_path, model, text_column=None)
    assert refusal.value.pointer == "/dataset/text_pair_column"


def test_repeated_texts_of_both_columns_stay_small_together(tmp_path):
    many = {"premise": ["x" * 100_000] * 300, "hypothesis": ["y" * 100_000] * 300, "label": ["a", "b"] * 150}
    file = write(tmp_path / "train.parquet", many)
    pieces = [inputs for inputs, _ in read_rows(file, ["premise", "hypothesis"], "label")]
    assert sum(map(len, pieces)) == 300
    assert max(piece.nbytes for piece in pieces) < 2 * 16_000_000


def test_the_second_column_decides_which_job_it_is():
    def spec(**fields):
        dataset = {"ref": "demo:d", **fields}
        return JobSpec.model_validate({"model": "demo:m", "dataset": dataset}).fingerprint()

    assert len({spec(), spec(text_pair_column="a"), spec(text_pair_column="b")}) == 3
