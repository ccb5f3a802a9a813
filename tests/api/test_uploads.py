"""Uploads over HTTP: announced, sent, checked, sealed; and everything that can be wrong on the way."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.server import serve_in_background
from app.services.backend import Backend
from app.services.registry import Library
from app.services.sweeping import sweep
from app.services.uploads import Uploads
from microlith.contract import BeginUpload
from tests.archives import MODEL, begin, boundary_header, files_of, register, upload, zipped
from tests.servers import S3Server
from tests.work import submit

CSV = b"text,label\na dog,animal\na chair,artifact\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def complete(api: TestClient, opened: dict[str, Any], digest: str) -> httpx.Response:
    return api.post(opened["urls"]["complete"], json={"sha256": digest})


def objects(backend: Backend) -> list[str]:
    return list(backend.objects.list())


@pytest.fixture
def api_on_s3(backend: Backend, s3: S3Server) -> Iterator[TestClient]:
    """The service with its objects in a bucket."""
    change = {
        "object_store_url": s3.url,
        "s3_endpoint": s3.endpoint,
        "s3_access_key": s3.access_key,
        "s3_secret_key": s3.secret_key,
    }
    settings = type(backend.settings).model_validate(backend.settings.model_dump() | change)
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


def test_an_upload_is_announced_sent_and_completed(api: TestClient) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    assert (opened["state"], opened["sha256"], opened["size_bytes"]) == ("open", None, len(CSV))
    assert opened["target"] == {"method": "PUT", "url": opened["urls"]["content"], "expires_at": None}
    assert api.put(opened["target"]["url"], content=CSV).json()["state"] == "open"
    done = complete(api, opened, sha256(CSV)).json()
    assert (done["state"], done["sha256"], done["target"]) == ("complete", sha256(CSV), None)
    assert done["completed_at"]
    assert api.get(opened["urls"]["self"]).json() == done
    assert complete(api, opened, sha256(CSV)).json() == done
    assert [one["id"] for one in api.get("/v1/uploads").json()["data"]] == [opened["id"]]


def test_a_wrong_digest_is_refused_and_the_upload_stays_open(api: TestClient, backend: Backend) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    api.put(opened["urls"]["content"], content=CSV)
    refused = complete(api, opened, "0" * 64)
    assert (refused.status_code, refused.json()["code"]) == (422, "VALIDATION_ERROR")
    assert sha256(CSV) in refused.json()["detail"]
    assert refused.json()["errors"][0]["pointer"] == "/sha256"
    assert api.get(opened["urls"]["self"]).json()["state"] == "open"
    assert objects(backend) == []
    api.put(opened["urls"]["content"], content=CSV)
    assert complete(api, opened, sha256(CSV)).status_code == 200


def test_what_was_announced_binds(api: TestClient) -> None:
    opened = begin(api, "dataset", "data.csv", CSV, sha256=sha256(CSV))
    other = CSV.replace(b"dog", b"cat")
    api.put(opened["urls"]["content"], content=other)
    assert complete(api, opened, sha256(other)).status_code == 422
    assert complete(api, opened, sha256(CSV)).status_code == 422


def test_a_body_shorter_or_longer_than_announced_is_refused(api: TestClient, backend: Backend) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    short = api.put(opened["urls"]["content"], content=CSV[:-5])
    assert (short.status_code, short.json()["code"]) == (422, "VALIDATION_ERROR")
    assert f"{len(CSV) - 5} arrived" in short.json()["detail"]
    long = api.put(opened["urls"]["content"], content=iter([CSV, b"x"]))
    assert (long.status_code, long.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert objects(backend) == []
    nothing = complete(api, opened, sha256(CSV))
    assert (nothing.status_code, nothing.json()["code"]) == (409, "CONFLICT")


def test_sending_again_replaces_what_was_sent_even_at_the_same_size(api: TestClient) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    api.put(opened["urls"]["content"], content=CSV.upper())
    api.put(opened["urls"]["content"], content=CSV)
    assert complete(api, opened, sha256(CSV)).status_code == 200


def test_a_complete_upload_never_changes(api: TestClient) -> None:
    key = upload(api, "dataset", "data.csv", CSV)
    assert api.put(f"/v1/uploads/{key}/content", content=CSV).status_code == 409
    assert api.post(f"/v1/uploads/{key}/complete", json={"sha256": "0" * 64}).status_code == 409


def test_the_same_content_need_not_be_sent_twice(api: TestClient) -> None:
    key = upload(api, "dataset", "data.csv", CSV)
    again = begin(api, "dataset", "data.csv", CSV, sha256=sha256(CSV))
    assert (again["id"], again["state"]) == (key, "complete")
    assert begin(api, "boundary", "data.csv", CSV, sha256=sha256(CSV))["id"] != key


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "module"}, "/kind"),
        ({"filename": "../etc/passwd"}, "/filename"),
        ({"filename": ".hidden"}, "/filename"),
        ({"filename": ""}, "/filename"),
        ({"filename": "a\u0000b"}, "/filename"),
        ({"size_bytes": 0}, "/size_bytes"),
        ({"size_bytes": "12"}, "/size_bytes"),
        ({"sha256": "abc"}, "/sha256"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_bad_announcement_is_refused_with_its_place(api: TestClient, change: dict[str, Any], pointer: str) -> None:
    wanted = {"kind": "dataset", "filename": "data.csv", "size_bytes": 10} | change
    answer = api.post("/v1/uploads", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_file_may_be_larger_than_a_body_and_has_a_limit_of_its_own(backend: Backend) -> None:
    settings = backend.settings.model_copy(update={"max_upload_bytes": 3_000_000})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        assert upload(api, "dataset", "data.csv", b"text,label\n" + b"x,y\n" * 700_000)
        wanted = {"kind": "dataset", "filename": "data.csv", "size_bytes": 3_000_001}
        assert api.post("/v1/uploads", json=wanted).json()["code"] == "PAYLOAD_TOO_LARGE"
        opened = begin(api, "dataset", "data.csv", CSV)
        announced = api.put(opened["urls"]["content"], content=b"x" * 3_000_001)
        assert (announced.status_code, announced.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert api.put(f"{opened['urls']['content']}/more", content=b"x" * 1_000_001).status_code == 413


def test_an_upload_of_somebody_else_is_not_there(api: TestClient, backend: Backend) -> None:
    wanted = BeginUpload(kind="dataset", filename="data.csv", size_bytes=len(CSV))
    foreign = Uploads(backend, "somebody").begin(wanted)
    for method, path, body in (
        ("GET", foreign.urls.self, {}),
        ("DELETE", foreign.urls.self, {}),
        ("PUT", foreign.urls.content, {"content": CSV}),
        ("POST", foreign.urls.complete, {"json": {"sha256": "0" * 64}}),
    ):
        answer = api.request(method, path, **body)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), method
    assert api.get("/v1/uploads").json()["data"] == []
    for kind in ("models", "datasets"):
        assert api.post(f"/v1/{kind}", json={"upload": foreign.id}).json()["code"] == "VALIDATION_ERROR"


def test_deleting_removes_the_bytes_unless_something_was_registered(api: TestClient, backend: Backend) -> None:
    key = upload(api, "dataset", "data.csv", CSV)
    assert len(objects(backend)) == 1
    assert api.delete(f"/v1/uploads/{key}").status_code == 204
    assert objects(backend) == []
    assert api.get(f"/v1/uploads/{key}").status_code == 404
    dataset = register(api, "dataset", "data.csv", CSV)
    refused = api.delete(f"/v1/uploads/{dataset['origin']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    assert dataset["id"] in refused.json()["detail"]


def test_a_sweep_takes_what_nothing_references_and_only_when_it_is_old(
    api: TestClient, backend: Backend, tmp_path: Path
) -> None:
    open_one = begin(api, "dataset", "data.csv", CSV)["id"]
    loose, sample = (
        upload(api, "dataset", "loose.csv", CSV),
        upload(api, "boundary", "set.safetensors", boundary_header()),
    )
    kept = register(api, "dataset", "kept.csv", CSV + b"a,b\n")["origin"]
    used = upload(api, "boundary", "used.safetensors", boundary_header(of="us"))
    submit(backend, sampling={"source": "boundary", "boundary": {"ref": used}})
    sweep(backend)
    assert len(api.get("/v1/uploads").json()["data"]) == 5
    sweep(replace(backend, settings=backend.settings.model_copy(update={"orphan_hours": 0.0})))
    assert {one["id"] for one in api.get("/v1/uploads").json()["data"]} == {kept, used}
    assert {open_one, loose, sample}.isdisjoint({kept, used})
    assert len(objects(backend)) == 2


def test_a_bucket_takes_the_file_by_a_presigned_link_that_holds_to_the_size(api_on_s3: TestClient) -> None:
    opened = begin(api_on_s3, "dataset", "data.csv", CSV)
    link = opened["target"]["url"]
    assert link.startswith("http://")
    assert opened["target"]["expires_at"]
    assert httpx.put(link, content=CSV + b"more").status_code == 403
    assert httpx.put(link.replace("uploads/incoming", "uploads/elsewhere"), content=CSV).status_code == 403
    assert httpx.put(link, content=CSV).status_code == 200
    assert complete(api_on_s3, opened, sha256(CSV)).json()["state"] == "complete"
    httpx.put(link, content=CSV.upper())  # the link still works, and changes nothing
    dataset = api_on_s3.post("/v1/datasets", json={"upload": opened["id"]}).json()
    assert dataset["splits"]["train"]["labels"] == {"animal": 1, "artifact": 1}


def test_a_bucket_can_be_filled_through_the_server_too(api_on_s3: TestClient) -> None:
    model = register(api_on_s3, "model", "model.zip", zipped(files_of(MODEL)))
    assert model["architecture"] == "BertForSequenceClassification"


def test_a_file_that_vanished_from_the_store_is_told(api: TestClient, backend: Backend) -> None:
    key = upload(api, "dataset", "data.csv", CSV)
    for name in objects(backend):
        backend.objects.delete(name)
    answer = api.post("/v1/datasets", json={"upload": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "SOURCE_UNAVAILABLE")


def test_a_damaged_file_in_the_store_is_not_used(api: TestClient, backend: Backend) -> None:
    key = upload(api, "dataset", "data.csv", CSV)
    (stored,) = objects(backend)
    path = backend.objects.local_path(stored)
    assert path is not None
    path.write_bytes(CSV.upper())
    answer = api.post("/v1/datasets", json={"upload": key})
    assert "damaged" in answer.json()["detail"]


def test_two_requests_that_complete_at_once_keep_one_file(api: TestClient, backend: Backend) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    api.put(opened["urls"]["content"], content=CSV)
    uploads = Uploads(backend, "default")
    row = uploads.find(opened["id"])
    late = "uploads/sha256/late"
    uploads.seal(row, late, sha256(CSV))
    api.put(opened["urls"]["content"], content=CSV)
    assert complete(api, opened, sha256(CSV)).status_code == 200
    assert uploads.keep(opened["id"], late, sha256(CSV)).key != late
    assert len(objects(backend)) == 1


@pytest.mark.parametrize("content", [CSV, b"\xff" * 40, (2).to_bytes(8, "little") + b"{}", boundary_header()[:-1]])
def test_what_is_no_set_of_boundary_samples_is_refused_when_it_is_completed(
    api: TestClient, backend: Backend, content: bytes
) -> None:
    opened = begin(api, "boundary", "set.safetensors", content)
    api.put(opened["urls"]["content"], content=content)
    answer = complete(api, opened, sha256(content))
    assert (answer.status_code, answer.json()["code"]) == (422, "DATASET_INVALID")
    assert objects(backend) == []
    assert api.get(opened["urls"]["self"]).json()["state"] == "open"


def test_a_connection_that_breaks_off_leaves_the_upload_as_it_was(backend: Backend) -> None:
    with serve_in_background(backend.settings) as url, httpx.Client(base_url=url) as api:
        opened = api.post("/v1/uploads", json={"kind": "dataset", "filename": "a.csv", "size_bytes": len(CSV)}).json()
        place = urlsplit(url)
        with socket.create_connection((place.hostname, place.port)) as line:
            lines = (
                f"PUT {opened['urls']['content']} HTTP/1.1",
                f"Host: {place.netloc}",
                f"Content-Length: {len(CSV)}",
            )
            line.sendall("\r\n".join((*lines, "", "")).encode() + CSV[:10])
        assert api.put(opened["urls"]["content"], content=CSV).status_code == 200
        done = api.post(opened["urls"]["complete"], json={"sha256": sha256(CSV)})
        assert done.json()["state"] == "complete"
    assert len(objects(backend)) == 1


def test_registering_needs_a_complete_upload_of_the_kind(api: TestClient, backend: Backend) -> None:
    opened = begin(api, "model", "model.zip", b"x")
    early = api.post("/v1/models", json={"upload": opened["id"]})
    assert (early.status_code, early.json()["code"]) == (409, "CONFLICT")
    data = upload(api, "dataset", "data.csv", CSV)
    wrong = api.post("/v1/models", json={"upload": data}).json()
    assert (wrong["code"], wrong["errors"][0]["pointer"]) == ("VALIDATION_ERROR", "/upload")
    for body in ({}, {"upload": data, "hub": "a/b"}):
        assert api.post("/v1/datasets", json=body).status_code == 422
    assert Library(backend, "default").models(None, 10)[0].id.startswith("demo:")
