"""Registered models and datasets: described, listed, named in a job, deleted; and refused where they are unsafe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.services.backend import Backend
from app.services.local_copies import Shelves
from app.services.registry import Library
from microlith.contract import JobSpec, RegisterDataset
from tests.archives import DATA, MODEL, files_of, register, tarred, upload, zipped
from tests.data_files import save_splits
from tests.work import DEMO

CSV = b"text,label\na dog,animal\na chair,artifact\n"
PICKLE = b"\x80\x04."


def refused(api: TestClient, kind: str, filename: str, content: bytes, **more: Any) -> dict[str, Any]:
    """The problem that registering this answers."""
    answer = api.post(f"/v1/{kind}s", json={"upload": upload(api, kind, filename, content)} | more)
    assert answer.status_code == 422, answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def changed(name: str, **changes: Any) -> dict[str, bytes]:
    """The demo model's files with one JSON file changed."""
    files = files_of(MODEL)
    return files | {name: json.dumps(json.loads(files[name]) | changes).encode()}


@pytest.mark.parametrize("folder", ["", "my-model/"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_model_is_described_as_its_folder_is(api: TestClient, pack: Any, folder: str) -> None:
    found = register(api, "model", "model.zip", pack({folder + name: data for name, data in files_of(MODEL).items()}))
    demo = api.get("/v1/models/demo:bert-tiny-wordnet").json()
    assert found["id"].startswith("mdl_")
    assert found["origin"].startswith("upl_")
    assert (found["name"], demo["name"]) == ("model", "bert-tiny-wordnet")
    same = set(demo) - {"id", "name", "origin", "created_at", "licence"}
    assert {name: found[name] for name in same} == {name: demo[name] for name in same}
    assert api.get(f"/v1/models/{found['id']}").json() == found


def test_a_pickle_beside_safetensors_is_dropped_and_alone_it_is_refused(api: TestClient, backend: Backend) -> None:
    files = files_of(MODEL) | {"pytorch_model.bin": PICKLE, "modeling.py": b"import os", "optimizer.pt": PICKLE}
    found = register(api, "model", "model.zip", zipped(files))
    spec = JobSpec.model_validate(DEMO | {"model": found["id"]})
    with Shelves.of(backend, "default").shelf(spec) as shelf:
        place = shelf[found["id"]].place
        assert place is not None
        assert {path.name for path in place.iterdir()} == {*files_of(MODEL)} - {"metrics.json"}
    del files["model.safetensors"]
    problem = refused(api, "model", "model.zip", zipped(files))
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("UNSAFE_MODEL", "/upload")
    assert "save_pretrained" in problem["hint"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_with_code_of_its_own_is_refused(api: TestClient, name: str) -> None:
    problem = refused(api, "model", "model.zip", zipped(changed(name, auto_map={"AutoModel": "modeling.Model"})))
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("UNSAFE_MODEL", "/upload")


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (zipped({"README.md": b"hello"}), "UNSUPPORTED_MODEL", "config.json"),
        (zipped(files_of(MODEL) | {"model.safetensors": b"short"}), "UNSUPPORTED_MODEL", "safetensors"),
        (zipped(changed("config.json", architectures=["BertForMaskedLM"])), "UNSUPPORTED_MODEL", "BertForMaskedLM"),
        (zipped({"../config.json": b"{}"}), "VALIDATION_ERROR", "out of the archive"),
        (zipped(files_of(MODEL))[:-40], "VALIDATION_ERROR", "cannot be unpacked"),
        (CSV, "VALIDATION_ERROR", "neither a zip nor a tar"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(api: TestClient, content: bytes, code: str, told: str) -> None:
    problem = refused(api, "model", "model.zip", content)
    assert (problem["code"], problem["errors"][0]["pointer"]) == (code, "/upload")
    assert told in problem["detail"]


def test_one_file_of_data_plays_every_role(api: TestClient) -> None:
    found = register(api, "dataset", "Reviews 2026.CSV", CSV)
    assert set(found["splits"]) == {"train", "validation", "test"}
    assert found["splits"]["test"] == {"rows": 2, "labels": {"animal": 1, "artifact": 1}}
    assert (found["text_column"], found["label_column"]) == ("text", "label")
    lines = b"".join(b'{"text": "%d", "label": %d}\n' % (n, n % 2) for n in range(4))
    assert register(api, "dataset", "data.jsonl", lines)["splits"]["train"]["labels"] == {"0": 2, "1": 2}


@pytest.mark.parametrize("folder", ["", "data/", "mine/", "mine/data/"])
def test_an_archive_of_data_has_a_file_for_each_split(api: TestClient, folder: str) -> None:
    found = register(api, "dataset", "data.tgz", tarred({folder + name: d for name, d in files_of(DATA).items()}))
    demo = api.get("/v1/datasets/demo:wordnet-supersense").json()
    assert found["splits"] == demo["splits"]
    assert found["sha256"] == demo["sha256"]


def test_only_the_splits_that_are_there_are_described(api: TestClient) -> None:
    found = register(api, "dataset", "data.zip", zipped({"train.csv": CSV, "dev.csv": CSV, "notes.txt": b"x"}))
    assert set(found["splits"]) == {"train", "validation"}
    problem = api.post("/v1/jobs", json=DEMO | {"dataset": found["id"]}).json()
    assert problem["code"] == "DATASET_INVALID"
    assert "test" in problem["detail"]


@pytest.mark.parametrize(
    ("filename", "content", "pointer", "told"),
    [
        ("data.csv", b"a,b\n1,2\n", "/text_column", "a, b"),
        ("data.csv", b"text,label\na,\nb,c\n", "/upload", "1 rows"),
        ("data.parquet", CSV, "/upload", "cannot be read"),
        ("data.zip", zipped({"all.csv": CSV}), "/upload", "all.csv"),
        ("data.zip", zipped({}), "/upload", "none"),
        ("data.txt", CSV, "/upload", ".parquet"),
    ],
)
def test_data_that_cannot_be_read_is_refused(
    api: TestClient, filename: str, content: bytes, pointer: str, told: str
) -> None:
    problem = refused(api, "dataset", filename, content)
    assert problem["errors"][0]["pointer"] == pointer
    assert told in problem["detail"]


def test_columns_named_once_need_not_be_named_in_a_job(api: TestClient) -> None:
    rows = b"review,stars\n" + b"".join(b"text %d,%s\n" % (n, label) for n, label in enumerate([b"act", b"food"] * 30))
    columns = {"text_column": "review", "label_column": "stars"}
    found = register(api, "dataset", "reviews.csv", rows, **columns)
    assert (found["text_column"], found["label_column"]) == ("review", "stars")
    spec = DEMO | {"dataset": found["id"], "concerns": ["act"]}
    plan = api.post("/v1/jobs?validate_only=true", json=spec)
    assert plan.status_code == 200, plan.text
    assert plan.json()["spec"]["dataset"]["text_column"] == "review"
    named = spec | {"dataset": {"ref": found["id"], "text_column": "stars", "label_column": "review"}}
    assert api.post("/v1/jobs?validate_only=true", json=named).json()["code"] == "UNKNOWN_LABELS"


SORTED = b"review;stars\n" + b"".join(b"text %d;%d\n" % (n, n >= 60) for n in range(120))
FORM = {
    "text_column": "review",
    "label_column": "stars",
    "delimiter": ";",
    "labels": {"0": "animal", "1": "food"},
    "carve": {"test": 0.25, "validation": 0.25},
}


def test_what_is_said_of_data_once_holds_in_every_job_that_says_nothing_else(api: TestClient) -> None:
    found = register(api, "dataset", "reviews.csv", SORTED, **FORM)
    assert {role: split["labels"] for role, split in found["splits"].items()} == {
        "train": {"0": 30, "1": 30},
        "validation": {"0": 15, "1": 15},
        "test": {"0": 15, "1": 15},
    }
    assert (found["form"], found["first_rows"][0]) == (FORM, {"review": "text 0", "stars": "0"})
    listed = api.get("/v1/datasets").json()["data"][0]
    assert (listed["form"], listed["first_rows"]) == ({}, [])

    def planned(dataset: Any) -> Any:
        answer = api.post("/v1/jobs?validate_only=true", json=DEMO | {"dataset": dataset, "concerns": ["food"]})
        assert answer.status_code == 200, answer.text
        return answer.json()["resolved"]["dataset"]["rows"]

    assert planned(found["id"]) == {"train": 60, "validation": 30, "test": 30}
    assert planned({"ref": found["id"], "carve": {"test": 0.5}})["test"] == 60
    cut = {"train": "train[50%:]", "test": "train[:50%]", "validation": "train[:50%]"}
    again = api.post("/v1/jobs?validate_only=true", json=DEMO | {"dataset": {"ref": found["id"], "splits": cut}})
    assert again.json()["code"] == "NOT_ENOUGH_SAMPLES"  # the file is sorted, and is not carved now
    page = api.get(f"/datasets/{found['id']}").text
    for part in ("First rows", "text 0", "&#34;carve&#34;"):
        assert part in page


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        ({"splits": {"test": "other.csv"}}, "/splits/test"),
        ({"splits": {"train": "train[:1000]"}}, "/splits/train"),
        ({"carve": {"test": 0.001}}, "/carve/test"),
        ({"config": "en"}, "/config"),
    ],
)
def test_what_is_said_wrongly_of_data_is_refused_at_its_place(
    api: TestClient, form: dict[str, Any], pointer: str
) -> None:
    columns = {"text_column": "review", "label_column": "stars"}
    problem = refused(api, "dataset", "reviews.csv", SORTED, **columns, **form)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("DATASET_INVALID", pointer)


def test_a_spreadsheet_is_refused_with_the_remedy_before_it_is_sent(api: TestClient) -> None:
    announced = {"kind": "dataset", "filename": "data.xlsx", "size_bytes": 9}
    problem = api.post("/v1/uploads", json=announced).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("DATASET_INVALID", "/filename")
    assert "save each sheet as CSV" in problem["hint"]


def test_a_zip_of_a_saved_folder_is_read_split_by_split(api: TestClient, tmp_path: Path) -> None:
    folder = save_splits(tmp_path / "saved")
    files = {str(file.relative_to(tmp_path)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    found = register(api, "dataset", "saved.zip", zipped(files))
    assert {role: split["rows"] for role, split in found["splits"].items()} == {"train": 5, "test": 1}


def test_pairs_are_registered_with_both_columns(api: TestClient) -> None:
    rows = b"one,two,kind\n" + b"".join(
        b"text %d,other,%s\n" % (n, label) for n, label in enumerate([b"act", b"food"] * 30)
    )
    columns = {"text_column": "one", "text_pair_column": "two", "label_column": "kind"}
    found = register(api, "dataset", "pairs.csv", rows, **columns)
    assert (found["text_column"], found["text_pair_column"]) == ("one", "two")

    def planned(dataset: Any) -> Any:
        spec = DEMO | {"dataset": dataset, "concerns": ["act"]}
        return api.post("/v1/jobs?validate_only=true", json=spec).json()["spec"]["dataset"]["text_pair_column"]

    assert planned(found["id"]) == "two"
    assert planned({"ref": found["id"], "text_column": "one"}) is None, "the job says itself what it reads"
    problem = refused(api, "dataset", "other.csv", rows, **columns | {"text_pair_column": "three"})
    assert problem["errors"][0]["pointer"] == "/text_pair_column"


def test_the_same_content_has_one_id_so_that_a_finished_job_is_found_again(api: TestClient) -> None:
    first = register(api, "dataset", "data.csv", CSV)
    again = api.post("/v1/datasets", json={"upload": first["origin"]})
    assert (again.status_code, again.json()) == (201, first)
    other = api.post("/v1/datasets", json={"upload": first["origin"], "text_column": "text"}).json()
    assert other["id"] != first["id"]


def test_a_job_names_registered_sources_and_knows_them_by_content(api: TestClient) -> None:
    model = register(api, "model", "model.zip", zipped(files_of(MODEL)))
    data = register(api, "dataset", "data.zip", zipped(files_of(DATA)))
    job = api.post("/v1/jobs", json={"model": model["id"], "dataset": data["id"], "reuse": False}).json()
    assert job["resolved"]["model"]["sha256"] == model["sha256"]
    assert job["resolved"]["dataset"]["sha256"] == data["sha256"]
    assert [one["id"] for one in api.get(f"/v1/jobs?model={model['id']}").json()["data"]] == [job["id"]]


def test_jobs_read_registered_sources_again_when_the_cache_is_gone(api: TestClient, backend: Backend) -> None:
    model = register(api, "model", "model.zip", zipped(files_of(MODEL)))
    shutil.rmtree(backend.settings.cache_dir)
    assert api.post("/v1/jobs", json=DEMO | {"model": model["id"], "reuse": False}).status_code == 202


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_an_id_that_is_nobodys_is_unknown(api: TestClient, kind: str) -> None:
    ids = {"model": "mdl_" + "0" * 26, "dataset": "dst_" + "0" * 26}
    for method in ("GET", "DELETE"):
        answer = api.request(method, f"/v1/{kind}s/{ids[kind]}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    problem = api.post("/v1/jobs", json=DEMO | {kind: ids[kind]}).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("VALIDATION_ERROR", f"/{kind}")
    assert ids[kind] in problem["detail"]
    swapped = ids["dataset" if kind == "model" else "model"]
    assert api.post("/v1/jobs", json=DEMO | {kind: swapped}).json()["code"] == "VALIDATION_ERROR"


def test_a_source_of_somebody_else_is_not_there(api: TestClient, backend: Backend) -> None:
    mine = register(api, "dataset", "data.csv", CSV)
    stranger = Library(backend, "somebody")
    with pytest.raises(Exception, match="no registered dataset"):
        stranger.dataset(mine["id"])
    with pytest.raises(Exception, match="no registered dataset"):
        stranger.delete("dataset", mine["id"])
    with pytest.raises(Exception, match="no upload"):
        stranger.register_dataset(RegisterDataset(upload=mine["origin"]))
    spec = JobSpec.model_validate(DEMO | {"dataset": mine["id"]})
    with Shelves.of(backend, "somebody").shelf(spec) as shelf:
        assert shelf == {}
    assert stranger.datasets(None, 10)[0].id == "demo:wordnet-supersense"


def test_lists_are_paged_newest_first_with_the_servers_own_last(api: TestClient) -> None:
    made = [register(api, "dataset", "data.csv", CSV + b"x,%d\n" % n)["id"] for n in range(3)]
    seen: list[str] = []
    query = "?limit=2"
    while query:
        page = api.get(f"/v1/datasets{query}").json()
        seen += [one["id"] for one in page["data"]]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert seen == [*reversed(made), "demo:wordnet-supersense"]
    assert [one["id"] for one in api.get("/v1/models").json()["data"]] == ["demo:bert-tiny-wordnet"]


def test_deleting_takes_the_upload_along(api: TestClient, backend: Backend) -> None:
    found = register(api, "dataset", "data.csv", CSV)
    assert api.delete(f"/v1/datasets/{found['id']}").status_code == 204
    assert api.get(f"/v1/datasets/{found['id']}").status_code == 404
    assert api.get(f"/v1/uploads/{found['origin']}").status_code == 404
    assert list(backend.objects.list()) == []
    assert api.delete("/v1/models/demo:bert-tiny-wordnet").status_code == 404


def test_a_name_on_the_hub_is_registered_without_being_fetched(api: TestClient) -> None:
    found = api.post("/v1/models", json={"hub": "org/name@main"}).json()
    assert (found["origin"], found["revision"], found["architecture"]) == ("hub:org/name@main", "main", None)
    assert api.post("/v1/models", json={"hub": "org/name@main"}).json() == found
    assert api.get(f"/v1/models/{found['id']}").json() == found
    job = api.post("/v1/jobs", json=DEMO | {"model": found["id"], "reuse": False})
    assert job.status_code == 202
    assert job.json()["resolved"]["model"] is None
    data = api.post("/v1/datasets", json={"hub": "org/data", "label_column": "y"}).json()
    assert (data["origin"], data["label_column"], data["splits"]) == ("hub:org/data", "y", {})
    problem = api.post("/v1/models", json={"hub": "../etc"}).json()
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/hub")


def test_nothing_is_left_in_the_cache_of_what_is_refused(api: TestClient, backend: Backend) -> None:
    refused(api, "model", "model.zip", zipped({"a/../../evil": b"x"}))
    left = [path for path in Path(backend.settings.cache_dir).iterdir() if path.suffix != ".lock"]
    assert left == []
