"""Image classifiers and image data, known without decoding anything."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.domain.errors import DatasetInvalid, UnsafeModel, UnsupportedModel
from app.sources.datasets import describe_dataset
from app.sources.images import image_shape
from app.sources.models import describe_model
from microlith.contract import DatasetSpec
from tests.builders import tiny_model

FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny ViT of 1 × 8 × 8 images and the labels 0 to 3, described."""
    folder = tmp_path_factory.mktemp("vit")
    tiny_model("vit").save_pretrained(folder)
    return describe_model(f"path:{folder}", allow_paths=True)


def table(images, kind=None, name="pixels"):
    return pa.table({name: pa.array(images, kind), "label": [f"LABEL_{n % 4}" for n in range(len(images))]})


def describe(place, model=None, **fields):
    return describe_dataset(DatasetSpec(ref=f"path:{place}", **fields), ["train"], model=model, allow_paths=True)


def test_an_image_classifier_is_known_by_its_task_and_the_images_it_reads(model):
    assert (model.task, model.image_shape, model.max_length) == ("image", [1, 8, 8], None)


def test_a_text_classifier_reads_text():
    model = describe_model("demo:bert-tiny-wordnet", allow_paths=False)
    assert (model.task, model.image_shape) == ("text", None)


@pytest.mark.parametrize(
    ("config", "preprocessor", "shape"),
    [
        ({"image_size": 8, "num_channels": 1}, None, [1, 8, 8]),
        ({"image_size": [6, 8]}, {"size": {"height": 9, "width": 9}}, [3, 6, 8]),
        ({}, {"size": {"height": 10, "width": 12}}, [3, 10, 12]),
        ({}, {"size": {"shortest_edge": 256}, "crop_size": {"height": 20, "width": 20}}, [3, 20, 20]),
        ({}, {"size": 33}, [3, 33, 33]),
        ({}, None, [3, 224, 224]),
    ],
)
def test_the_size_of_images_is_the_configs_or_else_the_preprocessors(tmp_path, config, preprocessor, shape):
    if preprocessor:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    assert image_shape(tmp_path, config, pointer="/model") == shape


@pytest.mark.parametrize("config", [{"image_size": 0}, {"num_channels": "three"}, {"image_size": ["a", "b"]}])
def test_sizes_that_are_none_are_refused(tmp_path, config):
    with pytest.raises(UnsupportedModel, match="channels by height by width"):
        image_shape(tmp_path, config, pointer="/model")


def test_a_preprocessor_with_code_of_its_own_is_unsafe_and_a_broken_one_unsupported(tmp_path):
    file = tmp_path / "preprocessor_config.json"
    file.write_text('{"auto_map": {"AutoImageProcessor": "code.Processor"}}')
    with pytest.raises(UnsafeModel, match="auto_map"):
        image_shape(tmp_path, {}, pointer="/model")
    file.write_text("[]")
    with pytest.raises(UnsupportedModel, match=r"preprocessor_config\.json cannot be read"):
        image_shape(tmp_path, {}, pointer="/model")


@pytest.mark.parametrize(
    ("name", "images", "kind"),
    [
        ("pixels", [[0] * 64, [16] * 64], pa.list_(pa.int64())),
        ("pixels", [[0.0] * 64, [1.0] * 64], pa.list_(pa.float32(), 64)),
        ("image", [{"bytes": b"\x89PNG", "path": None}] * 2, FILE),
        ("img", [b"\x89PNG"] * 2, pa.binary()),
    ],
)
def test_image_columns_are_found_by_their_usual_names_whatever_they_hold(tmp_path, model, name, images, kind):
    pq.write_table(table(images, kind, name), tmp_path / "train.parquet")
    for reader in (model, None):
        info = describe(tmp_path, reader)
        assert (info.text_column, info.image_column, info.label_column) == (None, name, "label")
        assert info.splits["train"].labels == {"LABEL_0": 1, "LABEL_1": 1}


def test_json_lines_hold_images_as_lists(tmp_path, model):
    rows = [{"pixels": [0] * 63 + [value], "label": "LABEL_0"} for value in (1, 0.5)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert describe(tmp_path, model).columns["pixels"] == "list<item: int64>"


def test_the_model_decides_which_column_is_read(tmp_path, model):
    both = table([[0] * 64] * 4).append_column("text", pa.array(["a"] * 4))
    pq.write_table(both, tmp_path / "train.parquet")
    assert describe(tmp_path, model).image_column == "pixels"
    assert describe(tmp_path).text_column == "text"
    assert describe(tmp_path, image_column="pixels").image_column == "pixels"


def test_a_column_of_the_other_task_is_refused_by_its_name(tmp_path, model):
    pq.write_table(table([[0] * 64]), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match="The model reads images, so `text_column` cannot be used") as refusal:
        describe(tmp_path, model, text_column="label")
    assert refusal.value.pointer == "/dataset/text_column"


def test_a_dataset_of_texts_is_no_data_for_an_image_classifier(tmp_path, model):
    pq.write_table(pa.table({"text": ["a"], "label": ["LABEL_0"]}), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match=r"no column image or img or pixels\. Columns: text, label") as refusal:
        describe(tmp_path, model)
    assert (refusal.value.pointer, "image_column" in refusal.value.hint) == ("/dataset/image_column", True)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int64(), 49)], ids=["first rows", "schema"])
def test_images_of_another_size_are_refused_with_both_sizes(tmp_path, model, kind):
    pq.write_table(table([[0] * 49] * 4, kind), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match=r"rows of 49 numbers.* 1 × 8 × 8 .* makes 64") as refusal:
        describe(tmp_path, model)
    assert refusal.value.pointer == "/dataset/image_column"


def test_without_a_model_lists_must_at_least_be_equally_long(tmp_path):
    pq.write_table(table([[0] * 49, [0] * 50]), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match="rows of 50 numbers"):
        describe(tmp_path)


@pytest.mark.parametrize("images", [["a.png"], [3], [["a"]], [{"path": "a.png"}], [[[0.0] * 8] * 8]])
def test_what_cannot_be_an_image_is_refused_by_its_type(tmp_path, model, images):
    pq.write_table(table(images), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match=r"Column pixels holds .* Images are lists of numbers, or files"):
        describe(tmp_path, model)


def test_describing_reads_the_first_images_only(tmp_path, model):
    """What is behind them is for the worker: describing a large set of images must not read it whole."""
    images = [np.zeros(64).tolist()] * 40 + [[0.0] * 5]
    pq.write_table(table(images, pa.list_(pa.float64())), tmp_path / "train.parquet", row_group_size=20)
    assert describe(tmp_path, model).splits["train"].rows == 41
