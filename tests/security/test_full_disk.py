"""A disk that is full, read-only or gone is told with a code of its own, and nothing is lost by it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from fastapi.testclient import TestClient

from app.confined.run import Reading, explain_failure
from app.domain.disk_faults import disk_fault
from app.domain.errors import DatasetInvalid, StorageUnavailable, UnknownLabels, VerificationFailed
from app.main import create_app
from app.services.backend import Backend
from app.services.uploads import Uploads
from app.storage.folder import FolderStore
from tests.archives import begin, upload

CSV = b"text,label\na dog,animal\na chair,artifact\n"
LARGE = b"text,label\n" + b"a dog,animal\n" * 20_000
SPEC = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KB, where this process may mount one."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def no_room(answer: object) -> None:
    status, told = answer.status_code, answer.json()  # type: ignore[attr-defined]
    assert (status, told["code"]) == (503, "STORAGE_UNAVAILABLE"), told
    assert answer.headers["retry-after"]  # type: ignore[attr-defined]
    assert "/" not in told["detail"], "no path of the machine"


def test_an_upload_that_the_cache_folder_has_no_room_for_is_told_so_and_can_be_sent_again(
    backend: Backend, tiny_disk: Path
) -> None:
    settings = backend.settings.model_copy(update={"data_dir": tiny_disk})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as api:
        opened = begin(api, "dataset", "data.csv", LARGE)
        no_room(api.put(opened["urls"]["content"], content=LARGE))
        assert api.get(opened["urls"]["self"]).json()["state"] == "open"
        assert list(settings.cache_dir.iterdir()) == [], "nothing is kept of it"
        assert upload(api, "dataset", "data.csv", CSV)


def test_a_file_that_cannot_be_written_at_all_is_told_so(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", _full_file)
    no_room(api.put(opened["urls"]["content"], content=CSV))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE])
def test_an_object_store_without_room_is_told_at_sending_and_at_completing(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    opened = begin(api, "dataset", "data.csv", CSV)
    with monkeypatch.context() as full:
        full.setattr(FolderStore, "_put", lambda *_: _fail(number))
        no_room(api.put(opened["urls"]["content"], content=CSV))
    assert api.put(opened["urls"]["content"], content=CSV).status_code == 200
    body = {"sha256": hashlib.sha256(CSV).hexdigest()}
    with monkeypatch.context() as full:
        full.setattr(FolderStore, "move", lambda *_: _fail(number))
        no_room(api.post(opened["urls"]["complete"], json=body))
    assert api.post(opened["urls"]["complete"], json=body).status_code == 200


def test_registering_and_planning_without_room_are_told_so(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = upload(api, "dataset", "data.csv", CSV)
    with monkeypatch.context() as full:
        full.setattr(FolderStore, "download", lambda *_: _fail(errno.ENOSPC))
        no_room(api.post("/v1/datasets", json={"upload": sent}))
    dataset = api.post("/v1/datasets", json={"upload": sent})
    assert dataset.status_code == 201, dataset.text
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_, **__: _fail(errno.ENOSPC))
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: _fail(errno.ENOSPC))
    no_room(api.post("/v1/jobs", json=SPEC | {"dataset": dataset.json()["id"]}, params={"validate_only": "true"}))


def test_a_fault_of_the_disk_that_was_told_as_bad_input_is_the_disks_again(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(_uploads: Uploads, _upload_id: str) -> None:
        try:
            _fail(errno.EMFILE)
        except OSError as error:
            raise DatasetInvalid("The file cannot be read.") from error

    monkeypatch.setattr(Uploads, "find", check)
    no_room(api.get("/v1/uploads/upl_1"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/secret"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        ValueError("[Errno 24] Too many open files: '/srv/secret'"),
        FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/srv/secret']"),
        VerificationFailed("module.zip does not open: OSError: [Errno 28] No space left on device: '/srv/secret'."),
    ],
)
def test_however_a_library_tells_it_the_disk_is_known_and_no_path_is_told(error: Exception) -> None:
    found = disk_fault(error, "The worker")
    assert isinstance(found, StorageUnavailable)
    assert "/srv" not in found.detail


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file"),
        OSError("the bucket cannot be used: Connection refused (os error 111)"),
        UnknownLabels("The model has no label '[Errno 28]'."),
        StorageUnavailable("The object store cannot be used."),
        ZeroDivisionError(),
    ],
)
def test_what_is_no_fault_of_the_disk_stays_what_it_is(error: Exception) -> None:
    assert disk_fault(error, "The worker") is None


def test_a_reader_that_the_disk_ends_is_not_the_files_fault_and_one_that_opens_too_much_is() -> None:
    reading = Reading("a.reader", {}, DatasetInvalid)
    said = "OSError: [Errno {number}] {text}: '/srv/secret'"
    full = said.format(number=errno.ENOSPC, text=os.strerror(errno.ENOSPC))
    assert isinstance(explain_failure(1, full, reading), StorageUnavailable)
    many = said.format(number=errno.EMFILE, text=os.strerror(errno.EMFILE))
    assert isinstance(explain_failure(1, many, reading), DatasetInvalid)


def _full_file(**_: object) -> IO[bytes]:
    return Path("/dev/full").open("wb")


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number), "/srv/secret")
