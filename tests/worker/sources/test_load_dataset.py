"""Datasets by reference, loaded."""

import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from app.domain.errors import DatasetInvalid, SourceUnavailable, UnknownLabels
from app.sources.datasets import describe_dataset
from app.sources.demo import FOLDER
from app.sources.models import describe_model
from microlith.contract import DatasetSpec, Splits
from tests.builders import tiny_model
from worker.sources.datasets import load_dataset

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LABELS = ["neg", "pos"]
READER = describe_model("demo:bert-tiny-wordnet", allow_paths=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub that refuses connections, and its cache in a folder of the test's own."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(cache, name):
    """The folder of a repository's only snapshot in the cache, as a download would leave it."""
    repository = cache / f"datasets--{name.replace('/', '--')}"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A tiny reader of 1 × 8 × 8 images."""
    folder = tmp_path_factory.mktemp("vit")
    tiny_model("vit").save_pretrained(folder)
    return describe_model(f"path:{folder}", allow_paths=True)


def load(ref, roles=("train",), labels=LABELS, **fields):
    return load_dataset(
        DatasetSpec(ref=ref, **fields), READER.model_copy(update={"labels": labels}), roles, allow_paths=True
    )


def test_the_demo_data_is_texts_and_class_ids_in_the_order_of_the_file():
    table = pq.read_table(FOLDER / "wordnet-supersense" / "test.parquet")
    names = sorted(set(table["label"].to_pylist()))
    loaded = load("demo:wordnet-supersense", ["test"], names)
    texts, labels = loaded.split("test")
    assert texts == table["text"].to_pylist()
    assert [names[label] for label in labels] == table["label"].to_pylist()
    assert labels.dtype == np.int64
    assert loaded.facts.rows == {"test": 3445}


def test_ids_and_names_come_to_the_same(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1, 0]}), tmp_path / "train.parquet")
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["pos", "neg"]}), tmp_path / "test.parquet")
    for role in ("train", "test"):
        assert load(f"path:{tmp_path}", [role]).split(role)[1].tolist() == [1, 0]


def test_labels_of_another_model_are_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a"], "label": ["neutral"]}), tmp_path / "train.parquet")
    with pytest.raises(UnknownLabels, match=r"neutral\. Known: neg, pos"):
        load(f"path:{tmp_path}")


def test_rows_with_gaps_are_refused(tmp_path):
    pq.write_table(pa.table({"text": ["a", None], "label": ["pos", "neg"]}), tmp_path / "train.parquet")
    with pytest.raises(DatasetInvalid, match="1 rows of the train split have no text"):
        load(f"path:{tmp_path}")


@pytest.mark.parametrize(
    "form",
    [
        {"carve": {"test": 0.2, "validation": 0.3, "seed": 7}},
        {"splits": {"train": "train[:60%]", "validation": "train[60%:80%]", "test": "train[80%:]"}},
        {"splits": {"train": "train[10:]", "validation": "train[10:]"}, "carve": {"test": 0.3}},
    ],
)
def test_a_worker_takes_the_rows_that_the_plan_counted(tmp_path, form):
    labels = ["pos" if number % 7 in (0, 3) else "neg" for number in range(200)]
    rows = [
        pa.table({"text": [f"text {n}" for n in range(start, start + 100)], "label": labels[start : start + 100]})
        for start in (0, 100)
    ]
    for number, table in enumerate(rows):
        pq.write_table(table, tmp_path / f"train-0000{number}-of-00002.parquet", row_group_size=30)
    source = DatasetSpec(ref=f"path:{tmp_path}", **form)
    roles = ["train", "validation", "test"]
    planned = describe_dataset(source, roles, model=READER.model_copy(update={"labels": LABELS}), allow_paths=True)
    loaded = load(source.ref, roles, **form)
    taken = {}
    for role in roles:
        texts, ids = loaded.split(role)
        counts = {name: int((ids == number).sum()) for number, name in enumerate(LABELS)}
        assert counts == {name: planned.splits[role].labels.get(name, 0) for name in LABELS}
        taken[role] = [int(text.removeprefix("text ")) for text in texts]
        assert taken[role] == sorted(set(taken[role]))
        assert [labels[row] for row in taken[role]] == [LABELS[number] for number in ids]
    assert loaded.facts.warnings == planned.warnings
    assert not set(taken["train"]) & set(taken["test"])


@pytest.mark.timeout(30)
def test_without_a_network_hub_data_is_unavailable_at_once(cache):
    with pytest.raises(SourceUnavailable, match="hub:some/data could not be fetched"):
        load("hub:some/data")


def test_cached_hub_data_is_opened_by_datasets_and_says_its_commit(cache):
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)})
    rows = datasets.Dataset.from_dict({"sentence": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    folder = kept(cache, "some/data")
    rows.to_parquet(folder / "train-00000-of-00001.parquet")
    rows.select([1]).to_parquet(folder / "dev-00000-of-00001.parquet")
    loaded = load("hub:some/data", ("train", "validation"), ["POS", "NEG"])
    assert loaded.facts.revision == COMMIT
    assert loaded.split("train")[0] == ["a", "b", "c"]
    assert loaded.split("train")[1].tolist() == [0, 1, 0]
    assert loaded.facts.rows == {"train": 3, "validation": 1}


def test_an_unknown_split_of_hub_data_is_answered_with_the_known(cache):
    shutil.copy(FOLDER / "wordnet-supersense" / "test.parquet", kept(cache, "some/data") / "test.parquet")
    with pytest.raises(DatasetInvalid, match=r"no split 'holdout' for test\. Splits: test\.") as refusal:
        load("hub:some/data", ["test"], splits=Splits(test="holdout"))
    assert refusal.value.pointer == "/dataset/splits/test"


def test_hub_images_come_as_their_files_undecoded(cache, vit):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=vit.labels)})
    rows = datasets.Dataset.from_dict({"image": [{"bytes": b"not decoded"}] * 2, "label": [1, 0]}, features=features)
    rows.to_parquet(kept(cache, "some/digits") / "train-00000-of-00001.parquet")
    loaded = load_dataset(DatasetSpec(ref="hub:some/digits"), vit, ["train"], allow_paths=True)
    images, labels = loaded.split("train")
    assert (images, labels.tolist()) == ([b"not decoded"] * 2, [1, 0])


def test_the_worker_checks_every_image_and_counts_those_that_are_missing(tmp_path, vit):
    def load_pixels(values):
        pq.write_table(
            pa.table({"pixels": values, "label": ["LABEL_0"] * len(values)}),
            tmp_path / "train.parquet",
            row_group_size=2,
        )
        return load_dataset(DatasetSpec(ref=f"path:{tmp_path}"), vit, ["train"], allow_paths=True)

    assert load_pixels([[1] * 64] * 5).split("train")[0].shape == (5, 1, 8, 8)
    with pytest.raises(DatasetInvalid, match="2 rows of the train split have no pixels"):
        load_pixels([[1] * 64] * 3 + [None] * 2)
    with pytest.raises(DatasetInvalid, match="rows of 63 numbers"):
        load_pixels([[1] * 64] * 30 + [[1] * 63])
