"""Bringing one's own: packed to the same bytes, sent by link or through the server, the key never to a stranger."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_service import Reply, SmallService, answer, problem
from typer.testing import CliRunner

from app.server import serve_in_background
from app.services.backend import Backend
from microlith.cli import app
from microlith.client import Client
from microlith.client.uploads import pack
from microlith.errors import InvalidInputProblem, NotUploadable, ProblemError, Unreachable
from tests.archives import DATA, MODEL
from tests.data_files import save_splits
from tests.servers import S3Server

BEGIN, DONE = "POST /v1/uploads", "POST /v1/uploads/upl_1/complete"
CSV = b"text,label\na dog,animal\na chair,artifact\n"


def wire(state: str, url: str | None = None) -> dict[str, Any]:
    urls = {
        "self": "/v1/uploads/upl_1",
        "content": "/v1/uploads/upl_1/content",
        "complete": "/v1/uploads/upl_1/complete",
    }
    return {
        "id": "upl_1",
        "kind": "boundary",
        "filename": "set.bin",
        "size_bytes": 41,
        "sha256": None,
        "state": state,
        "target": {"method": "PUT", "url": url} if url else None,
        "created_at": "2026-11-01T00:00:00Z",
        "completed_at": None,
        "urls": urls,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "set.bin"
    path.write_bytes(CSV)
    return path


@pytest.fixture(params=["folder", "s3"])
def served(request: pytest.FixtureRequest, backend: Backend) -> Iterator[str]:
    """The real service on a port, its objects in a folder or in a bucket; the URL."""
    settings = backend.settings
    if request.param == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        place = {"object_store_url": s3.url, "s3_endpoint": s3.endpoint}
        keys = {"s3_access_key": s3.access_key, "s3_secret_key": s3.secret_key}
        settings = type(settings).model_validate(settings.model_dump() | place | keys)
    with serve_in_background(settings) as url:
        yield url


def test_a_folder_of_a_model_becomes_a_model_on_the_server(served: str, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    with Client(served) as client:
        model = client.upload_model(MODEL, lambda done, total: heard.append((done, total)))
        assert model.id.startswith("mdl_")
        assert model.labels == client.model("demo:bert-tiny-wordnet").labels
        done, total = heard[-1]
        assert done == total > 1_000_000
        shutil.copytree(MODEL, tmp_path / MODEL.name)
        heard.clear()
        assert client.upload_model(tmp_path / MODEL.name).id == model.id
        assert heard == []
        data = client.upload_dataset(DATA)
        assert data.splits["train"].rows == client.dataset("demo:wordnet-supersense").splits["train"].rows
        plan = client.plan({"model": model.id, "dataset": data.id})
        assert len(plan.modules) == len(model.labels)
        client.delete_model(model.id)
        client.delete_dataset(data.id)
        assert list(client.uploads()) == []


def test_the_command_line_uploads_and_says_how_to_go_on(backend: Backend, tmp_path: Path) -> None:
    data = tmp_path / "reviews.csv"
    data.write_bytes(b"review,stars\ngood,5\nbad,1\n")
    with serve_in_background(backend.settings) as url:
        sent = CliRunner().invoke(
            app,
            ["datasets", "upload", str(data), "--text-column", "review", "--label-column", "stars", "--url", url],
        )
        assert sent.exit_code == 0, sent.stderr
        listed = json.loads(CliRunner().invoke(app, ["datasets", "list", "--json", "--url", url]).stdout)
        assert f"--dataset {listed[0]['id']}" in sent.stderr
        refused = CliRunner().invoke(app, ["models", "upload", str(data), "--url", url])
        assert refused.exit_code == 3
        assert "neither a zip nor a tar" in refused.stderr
        gone = CliRunner().invoke(app, ["datasets", "delete", listed[0]["id"], "--url", url])
        assert gone.exit_code == 0


def test_equal_folders_are_equal_zips_without_what_is_of_no_use(tmp_path: Path) -> None:
    digests = set()
    for place in ("a", "b"):
        folder = tmp_path / place / "model"
        shutil.copytree(MODEL, folder)
        (folder / "pytorch_model.bin").write_bytes(place.encode())
        (folder / ".cache").mkdir()
        with pack(folder, "model") as parcel:
            assert parcel.filename == "model.zip"
            digests.add(hashlib.sha256(parcel.path.read_bytes()).hexdigest())
            names = zipfile.ZipFile(parcel.path).namelist()
        assert not parcel.path.exists()
    assert len(digests) == 1
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]


def test_a_saved_folder_is_packed_with_the_files_of_each_split(tmp_path: Path) -> None:
    folder = save_splits(tmp_path / "saved")
    (folder / "train" / "cache-01.arrow").write_bytes(b"not data")
    with pack(folder, "dataset") as parcel, zipfile.ZipFile(parcel.path) as archive:
        assert archive.namelist() == [
            "dataset_dict.json",
            "test/data-00000-of-00001.arrow",
            "train/data-00000-of-00002.arrow",
            "train/data-00001-of-00002.arrow",
        ]


def test_what_the_server_could_not_use_is_not_sent(client: Client, service: SmallService, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    for place, why in ((tmp_path / "nowhere", "nothing at"), (tmp_path, "no config.json"), (pickled, "pickled")):
        with pytest.raises(NotUploadable, match=why):
            client.upload_model(place)
    bare = tmp_path / "bare"
    bare.mkdir()
    for place, why in ((bare, "no data files"), (tmp_path / "empty.csv", "is empty")):
        with pytest.raises(NotUploadable, match=why):
            client.upload_dataset(place)
    assert service.asked == []


def test_the_key_goes_to_the_server_and_never_to_its_store(
    client: Client, service: SmallService, other_host: SmallService, file: Path
) -> None:
    service.on(BEGIN, answer(wire("open", f"{other_host.url}/bucket/key?signature=1"), 201))
    service.on(DONE, answer(wire("complete")))
    other_host.on("PUT /bucket/key", Reply(status=503), Reply())
    assert client.upload_boundary(file).state == "complete"
    assert [asked.body for asked in other_host.asked] == [CSV, CSV]
    for asked in other_host.asked:
        assert "authorization" not in asked.headers
        assert asked.headers["content-length"] == str(len(CSV))
        assert "transfer-encoding" not in asked.headers
    sent = json.loads(service.calls(BEGIN)[0].body)
    assert sent == {
        "kind": "boundary",
        "filename": "set.bin",
        "size_bytes": 41,
        "sha256": hashlib.sha256(CSV).hexdigest(),
    }
    assert json.loads(service.calls(DONE)[0].body) == {"sha256": sent["sha256"]}
    assert all(asked.headers["authorization"] == "Bearer a-very-secret-key" for asked in service.asked)


def test_a_store_that_cannot_be_reached_is_gone_around(client: Client, service: SmallService, file: Path) -> None:
    service.on(BEGIN, answer(wire("open", "http://127.0.0.1:1/bucket/key"), 201))
    service.on("PUT /v1/uploads/upl_1/content", answer(wire("open")))
    service.on(DONE, answer(wire("complete")))
    assert client.upload_boundary(file).state == "complete"
    (through,) = service.calls("PUT /v1/uploads/upl_1/content")
    assert (through.body, through.headers["authorization"]) == (CSV, "Bearer a-very-secret-key")


def test_what_was_cut_is_sent_again_whole(client: Client, service: SmallService, file: Path) -> None:
    service.on(BEGIN, answer(wire("open", "/v1/uploads/upl_1/content"), 201))
    service.on("PUT /v1/uploads/upl_1/content", Reply(cut=-1), answer(wire("open")))
    service.on(DONE, answer(wire("complete")))
    client.upload_boundary(file)
    assert [asked.body for asked in service.calls("PUT /v1/uploads/upl_1/content")] == [CSV, CSV]


def test_refusals_are_raised_as_they_are(client: Client, service: SmallService, file: Path) -> None:
    service.on(BEGIN, problem(413, "PAYLOAD_TOO_LARGE", "An upload may have 5 bytes."))
    with pytest.raises(InvalidInputProblem, match="may have 5 bytes"):
        client.upload_boundary(file)
    service.on(BEGIN, answer(wire("open", "/v1/uploads/upl_1/content"), 201))
    service.on("PUT /v1/uploads/upl_1/content", lambda _asked: Reply(b"<Error/>", 403))
    with pytest.raises(ProblemError, match="403"):
        client.upload_boundary(file)
    service.on("PUT /v1/uploads/upl_1/content", Reply(cut=-1))
    with pytest.raises(Unreachable):
        client.upload_boundary(file)


def test_an_odd_name_is_tamed(tmp_path: Path) -> None:
    odd = tmp_path / ".a\\b\n.csv"
    odd.write_bytes(CSV)
    with pack(odd, "dataset") as parcel:
        assert parcel.announce().filename == "_a_b_.csv"
