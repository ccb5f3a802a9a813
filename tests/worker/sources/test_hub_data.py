"""Data sets of the hub: files that we list, choose and read, whatever the repository says of itself."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest
from pyarrow import csv

from app.domain.errors import DatasetInvalid, MicrolithError, ResourceLimit, SourceUnavailable
from app.sources.models import describe_model
from microlith.contract import DatasetSpec, Splits
from tests.hub import COMMIT, Hub, running_hub
from worker.sources import hub as hub_module
from worker.sources.datasets import LoadedDataset, load_dataset
from worker.sources.models import load_model

LABELS = ["neg", "pos"]
SECRET = "a-secret-of-this-machine"
TEXTS = ["one", "NA", "2020-01-01", 'with "quotes", and\nlines']
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)})
ROWS = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1, 0]}, features=FEATURES)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    with running_hub(tmp_path / "cache", monkeypatch) as handler:
        yield handler


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server of this machine that nobody may call, and what it was asked."""
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"text,label\n{SECRET},{SECRET}\n".encode())

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def load(ref: str, *roles: str, **fields: Any) -> LoadedDataset:
    model = describe_model("demo:bert-tiny-wordnet", allow_paths=False)
    assert model is not None
    info = model.model_copy(update={"labels": LABELS})
    return load_dataset(DatasetSpec(ref=ref, **fields), info, roles or ["train"], allow_paths=True)


def parquet(rows: datasets.Dataset) -> bytes:
    sink = io.BytesIO()
    rows.to_parquet(sink)
    return sink.getvalue()


def as_csv(rows: datasets.Dataset) -> bytes:
    sink = io.BytesIO()
    csv.write_csv(rows.data.table, sink)
    return sink.getvalue()


def lines(rows: datasets.Dataset) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


LAYOUTS: dict[str, dict[str, bytes]] = {
    "shards in data": {
        "data/train-00000-of-00002.parquet": parquet(ROWS.select([0, 1])),
        "data/train-00001-of-00002.parquet": parquet(ROWS.select([2, 3])),
        "data/test-00000-of-00001-0123456789abcdef.parquet": parquet(ROWS.select([3])),
    },
    "CSV": {"train.csv": as_csv(ROWS), "test.csv": as_csv(ROWS.select([3]))},
    "JSON Lines": {"train.jsonl": lines(ROWS), "eval.jsonl": lines(ROWS.select([3]))},
    "a JSON document": {
        "train.json": json.dumps(list(ROWS), indent=1).encode(),
        "test.json": json.dumps([ROWS[3]]).encode(),
    },
    "a folder for each split": {
        "default/train/0000.parquet": parquet(ROWS),
        "default/test/0000.parquet": parquet(ROWS.select([3])),
    },
    "one configuration": {"en/train.parquet": parquet(ROWS), "en/test.parquet": parquet(ROWS.select([3]))},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_ordinary_data_set_gives_the_rows_that_the_same_files_give_locally(
    layout: str, hub: type[Hub], tmp_path: Path
) -> None:
    hub.data |= LAYOUTS[layout] | {"dataset_infos.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"}
    found = load("hub:some/data@v1", "train", "test")
    assert (found.facts.revision, found.facts.splits) == (COMMIT, {"train": "train", "test": "test"})
    assert found.licence is not None
    assert found.licence.name == "mit"
    assert (found.split("train")[0], found.split("train")[1].tolist()) == (TEXTS, [1, 0, 1, 0])
    assert (found.split("test")[0], found.split("test")[1].tolist()) == (TEXTS[3:], [0])
    if "JSON document" not in layout:
        file = next(iter(LAYOUTS[layout]))
        (tmp_path / f"local{Path(file).suffix}").write_bytes(hub.data[file])
        local = load(f"path:{tmp_path / f'local{Path(file).suffix}'}")
        assert local.split("train")[0] == TEXTS[: len(local.split("train")[0])]


PLACES = [
    "{secret}",
    "../../../../../../../../../..{secret}",
    "{folder}/*.csv",
    "{folder}/**",
    "file://{secret}",
    "webhdfs://{server}/secret.csv",
    "http://{server}/secret.csv",
    "zip://secret.csv::http://{server}/secret.zip",
    "hf://datasets/other/data/secret.csv",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("with_data", [True, False])
def test_what_a_readme_names_is_neither_read_nor_asked_for(
    place: str, with_data: bool, hub: type[Hub], listener: tuple[str, list[str]], tmp_path: Path
) -> None:
    secret = tmp_path / "secrets" / "secret.csv"
    secret.parent.mkdir()
    secret.write_text(f"text,label\n{SECRET},{SECRET}\n")
    server, asked = listener
    named = json.dumps(place.format(secret=secret, folder=secret.parent, server=server))
    configs = "\n".join(f"  - {{split: {split}, path: {named}}}" for split in ("train", "test"))
    hub.data |= {"README.md": f"---\nconfigs:\n- config_name: default\n  data_files:\n{configs}\n---\n".encode()}
    if with_data:
        hub.data |= LAYOUTS["CSV"]
        assert load("hub:some/data").split("train")[0] == TEXTS
    else:
        with pytest.raises(DatasetInvalid, match=r"no split 'train' for train\. Splits: none\.") as refusal:
            load("hub:some/data")
        assert SECRET not in f"{refusal.value.detail} {refusal.value.hint}"
    assert asked == []


def test_a_link_in_the_cache_that_leads_out_of_the_repository_is_refused(hub: type[Hub], tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(f"text,label\n{SECRET},{SECRET}\n")
    hub.data |= LAYOUTS["CSV"]
    load("hub:some/data")
    [kept] = (tmp_path / "cache").rglob("snapshots/*/train.csv")
    kept.unlink()
    kept.symlink_to(secret)
    with pytest.raises(SourceUnavailable, match=r"train\.csv of hub:some/data is no file of the repository") as refusal:
        load("hub:some/data")
    assert str(tmp_path) not in refusal.value.detail


NAMES = [
    "../train.csv",
    "/etc/train.csv",
    "data/../../train.csv",
    "a\\..\\train.csv",
    "tr\x1bain.csv",
    "http://a/b.csv",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_names_that_lead_out_are_refused_before_a_byte_is_fetched(name: str, kind: str, hub: type[Hub]) -> None:
    (hub.data if kind == "dataset" else hub.files)[name] = b"text,label\na,neg\n"
    with pytest.raises(SourceUnavailable, match="no plain name below the repository"):
        load("hub:some/data") if kind == "dataset" else load_model("hub:some/model", allow_paths=False)
    assert not any("/resolve/" in path for path in hub.asked)


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_more_bytes_than_are_fetched_are_refused_before_the_first_one(kind: str, hub: type[Hub]) -> None:
    hub.data |= LAYOUTS["CSV"]
    hub.files |= {"config.json": b"{}", "model.safetensors": b"few"}
    hub.sizes |= {"train.csv": hub_module.MAX_BYTES, "model.safetensors": hub_module.MAX_BYTES}
    with pytest.raises(ResourceLimit, match="at most 2,000 files of 20,000,000,000 bytes"):
        load("hub:some/data", "train", "test") if kind == "dataset" else load_model("hub:some/model", allow_paths=False)
    assert not any("/resolve/" in path for path in hub.asked)


def test_a_repository_of_too_many_files_is_refused(hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_LISTED", 3)
    hub.data |= {f"{number}.txt": b"" for number in range(4)}
    with pytest.raises(ResourceLimit, match="more than 3 files"):
        load("hub:some/data")


def test_only_the_files_of_the_splits_that_are_read_are_fetched(hub: type[Hub]) -> None:
    hub.data |= LAYOUTS["shards in data"] | {"script.py": b"", "notes.csv.gz": b""}
    load("hub:some/data", "test")
    fetched = {path.partition(COMMIT)[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"/data/test-00000-of-00001-0123456789abcdef.parquet"}


def test_several_configurations_are_listed_and_a_file_of_one_can_be_named(hub: type[Hub]) -> None:
    hub.data |= {f"{name}/train.csv": as_csv(ROWS) for name in ("de", "en")}
    with pytest.raises(DatasetInvalid, match=r"several configurations: de, en\.") as refusal:
        load("hub:some/data")
    assert "`splits`" in str(refusal.value.hint)
    assert load("hub:some/data", splits=Splits(train="en/train.csv")).split("train")[0] == TEXTS


def test_a_lone_file_of_any_name_is_what_there_is_to_train_on(hub: type[Hub]) -> None:
    hub.data["reviews[1].csv"] = as_csv(ROWS)
    everything = Splits(train="train", test="train")
    assert load("hub:some/data", "train", "test", splits=everything).facts.rows == {"train": 4, "test": 4}


@pytest.mark.parametrize(
    ("content", "said"), [(b"[1, ", "cannot be read"), (b'"text"\n', "cannot be read"), (b"[" * 5000, "cannot be read")]
)
def test_a_damaged_document_is_told_without_a_place_of_this_machine(
    content: bytes, said: str, hub: type[Hub], tmp_path: Path
) -> None:
    hub.data["train.json"] = content
    with pytest.raises(MicrolithError, match=said) as refusal:
        load("hub:some/data")
    assert refusal.value.code in ("DATASET_INVALID", "RESOURCE_LIMIT")
    for place in (str(tmp_path), "/tmp", "snapshots", str(Path.cwd())):
        assert place not in refusal.value.detail
