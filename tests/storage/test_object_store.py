"""One suite of behaviour for both kinds of store: a folder, and a bucket of a real S3 server."""

import hashlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.errors import InvalidInput
from app.storage import ObjectStore, content_key, open_store
from app.storage.store import CHUNK_BYTES
from tests.servers import S3Server, s3_store

ZIP = "application/zip"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_store() as server:
        yield server


def bucket(server: S3Server, **other: str) -> ObjectStore:
    """The bucket under a prefix of the test's own."""
    keys = {
        "endpoint": server.endpoint,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "region": server.region,
    }
    return open_store(f"{server.url}/{uuid4().hex}", **(keys | other))


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(f"file://{tmp_path}/objects")
    return bucket(request.getfixturevalue("s3"))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_what_is_put_comes_back_byte_for_byte(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("a/b.zip", written(tmp_path / "in", b"some bytes"), ZIP)
    assert store.head("a/b.zip") == 10
    assert b"".join(store.open("a/b.zip")) == b"some bytes"


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("empty", written(tmp_path / "in", b""), ZIP)
    assert store.head("empty") == 0
    assert list(store.open("empty")) == []


def test_an_object_of_several_chunks_survives_the_round_trip(store: ObjectStore, tmp_path: Path) -> None:
    source = written(tmp_path / "in", bytes(range(256)) * (5 * CHUNK_BYTES // 512) + b"an uneven end")
    store.put_file("large", source, ZIP)
    store.download("large", tmp_path / "out")
    assert digest(tmp_path / "out") == digest(source)
    assert max(len(chunk) for chunk in store.open("large")) <= CHUNK_BYTES


def test_a_missing_object_has_no_size_and_cannot_be_opened(store: ObjectStore, tmp_path: Path) -> None:
    assert store.head("not/there") is None
    with pytest.raises(FileNotFoundError):
        next(store.open("not/there"))


def test_a_failed_download_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    target = tmp_path / "downloads"
    target.mkdir()
    with pytest.raises(FileNotFoundError):
        store.download("not/there", target / "out")
    assert list(target.iterdir()) == []


def test_a_key_with_the_same_size_is_not_written_again(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("key", written(tmp_path / "in", b"first"), ZIP)
    store.put_file("key", written(tmp_path / "in", b"other"), ZIP)
    assert b"".join(store.open("key")) == b"first"


def test_a_key_with_another_size_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("key", written(tmp_path / "in", b"half"), ZIP)
    store.put_file("key", written(tmp_path / "in", b"whole object"), ZIP)
    assert b"".join(store.open("key")) == b"whole object"


def test_a_source_that_is_gone_stores_nothing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_file("key", tmp_path / "gone", ZIP)
    assert list(store.list()) == []


def test_deleting_twice_is_no_error(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("key", written(tmp_path / "in", b"x"), ZIP)
    store.delete("key")
    store.delete("key")
    assert store.head("key") is None


def test_a_list_holds_the_keys_below_the_prefix(store: ObjectStore, tmp_path: Path) -> None:
    for key in ("a/1", "a/b/2", "ab/3"):
        store.put_file(key, written(tmp_path / "in", b"x"), ZIP)
    assert sorted(store.list("a")) == sorted(store.list("a/")) == ["a/1", "a/b/2"]
    assert sorted(store.list()) == ["a/1", "a/b/2", "ab/3"]
    assert list(store.list("nothing/here")) == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".incoming/x", "a\\b", "a\0b", "x" * 1025]
)
def test_a_key_that_could_leave_the_store_is_refused(store: ObjectStore, key: str, tmp_path: Path) -> None:
    source = written(tmp_path / "in", b"x")
    for use in (store.head, store.delete, store.local_path, lambda key: next(store.open(key))):
        if use == store.local_path and store.local_path("plain") is None:
            continue
        with pytest.raises(InvalidInput):
            use(key)
    with pytest.raises(InvalidInput):
        store.put_file(key, source, ZIP)


def test_a_usable_store_passes_its_check(store: ObjectStore) -> None:
    store.check()
    assert list(store.list()) == []


def test_artifacts_are_named_by_their_content() -> None:
    sha256 = hashlib.sha256(b"content").hexdigest()
    assert content_key(sha256, ".zip") == f"artifacts/sha256/{sha256[:2]}/{sha256}.zip"


@pytest.mark.parametrize("url", ["", "objects", "file://host/x", "file:relative", "ftp://x/y", "s3://", "s3:///x"])
def test_an_url_of_no_store_is_refused_with_the_two_forms(url: str) -> None:
    with pytest.raises(InvalidInput, match="s3://bucket"):
        open_store(url)


def test_a_presigned_link_names_the_file_and_needs_no_credentials(s3: S3Server, tmp_path: Path) -> None:
    store = bucket(s3)
    store.put_file("dir/a+b c.zip", written(tmp_path / "in", b"zipped"), ZIP)
    link = store.presign("dir/a+b c.zip", filename='Größe "1".zip', media_type=ZIP, seconds=60)
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"zipped"
        assert answer.headers["Content-Type"] == ZIP
        assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.zip" in answer.headers["Content-Disposition"]


def test_a_presigned_link_answers_ranges(s3: S3Server, tmp_path: Path) -> None:
    store = bucket(s3)
    store.put_file("key", written(tmp_path / "in", b"0123456789"), ZIP)
    link = store.presign("key", filename="x.zip", media_type=ZIP, seconds=60)
    with urllib.request.urlopen(urllib.request.Request(link, headers={"Range": "bytes=2-4"})) as answer:
        assert (answer.status, answer.read()) == (206, b"234")


@pytest.mark.parametrize(
    "change", [("filename", "file_name"), ("Expires=60", "Expires=61"), ("Signature=", "Signature=0")]
)
def test_a_changed_link_is_refused(s3: S3Server, tmp_path: Path, change: tuple[str, str]) -> None:
    store = bucket(s3)
    store.put_file("key", written(tmp_path / "in", b"x"), ZIP)
    link = store.presign("key", filename="x.zip", media_type=ZIP, seconds=60)
    with pytest.raises(urllib.error.HTTPError, match="403") as refusal:
        urllib.request.urlopen(link.replace(*change))
    refusal.value.close()


def test_links_name_the_public_endpoint(s3: S3Server) -> None:
    link = bucket(s3, public_endpoint="https://files.example.org/").presign(
        "key", filename="x.zip", media_type=ZIP, seconds=60
    )
    assert link.startswith(f"https://files.example.org/{s3.bucket}/")


def test_without_keys_of_its_own_a_store_still_makes_links(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    store = open_store(f"{s3.url}/{uuid4().hex}", endpoint=s3.endpoint, region=s3.region)
    store.put_file("key", written(tmp_path / "in", b"x"), ZIP)
    with urllib.request.urlopen(store.presign("key", filename="x.zip", media_type=ZIP, seconds=60)) as answer:
        assert answer.read() == b"x"


def test_a_wrong_secret_is_a_clear_refusal(s3: S3Server) -> None:
    with pytest.raises(PermissionError, match=f"{s3.bucket}.*refuses our credentials"):
        bucket(s3, secret_key="wrong").check()


def test_a_missing_bucket_fails_the_check(s3: S3Server) -> None:
    keys = {"endpoint": s3.endpoint, "access_key": s3.access_key, "secret_key": s3.secret_key}
    with pytest.raises(OSError, match="nowhere"):
        open_store("s3://nowhere", **keys).check()


def test_a_server_that_is_not_there_fails_the_check_quickly() -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        open_store("s3://models", endpoint="http://127.0.0.1:9", access_key="a", secret_key="b").check()


LARGE_BYTES = 96 * 1024 * 1024
LARGE_ROUND_TRIP = """
import resource, sys
from pathlib import Path
from app.storage import open_store
url, endpoint, access_key, secret_key, folder = sys.argv[1:]
store = open_store(url, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("ready", flush=True)
store.put_file("large", Path(folder, "in"), "application/zip")
store.download("large", Path(folder, "out"))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def large_round_trip(s3: S3Server, url: str, folder: Path) -> subprocess.Popen[str]:
    """A process that puts a large file and downloads it again; it has said that it is ready to begin."""
    with (folder / "in").open("wb") as file:
        file.truncate(LARGE_BYTES)
    arguments = [url, s3.endpoint, s3.access_key, s3.secret_key, str(folder)]
    process = subprocess.Popen([sys.executable, "-c", LARGE_ROUND_TRIP, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_memory_stays_flat_while_a_large_file_goes_up_and_down(s3: S3Server, tmp_path: Path) -> None:
    with large_round_trip(s3, f"{s3.url}/{uuid4().hex}", tmp_path) as process:
        grown = int(process.stdout.read())
    assert (tmp_path / "out").stat().st_size == LARGE_BYTES
    assert grown < LARGE_BYTES * 0.7


def test_an_upload_killed_half_way_leaves_nothing_visible(s3: S3Server, tmp_path: Path) -> None:
    url = f"{s3.url}/{uuid4().hex}"
    with large_round_trip(s3, url, tmp_path) as process:
        time.sleep(0.1)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    store = open_store(url, endpoint=s3.endpoint, access_key=s3.access_key, secret_key=s3.secret_key)
    assert store.head("large") is None
    assert list(store.list()) == []


def test_a_moved_object_is_at_its_new_key_alone(store: ObjectStore, tmp_path: Path) -> None:
    store.put_file("in/a", written(tmp_path / "in", b"some bytes"), ZIP)
    store.move("in/a", "kept/deep/b")
    assert list(store.list()) == ["kept/deep/b"]
    assert b"".join(store.open("kept/deep/b")) == b"some bytes"
    with pytest.raises(FileNotFoundError):
        store.move("in/a", "kept/c")
    for bad in ("../a", "/a", ".hidden/a"):
        with pytest.raises(InvalidInput):
            store.move("kept/deep/b", bad)
        with pytest.raises(InvalidInput):
            store.move(bad, "kept/c")


def put(link: str, content: bytes) -> int:
    """The status of a plain PUT."""
    request = urllib.request.Request(link, data=content, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def test_a_link_to_put_takes_the_announced_size_until_it_expires(s3: S3Server) -> None:
    store = bucket(s3)
    link = store.presign_put("a/ü b", size_bytes=5, seconds=60)
    assert put(link, b"12345") == 200
    assert store.head("a/ü b") == 5
    assert put(link, b"123456") == 403
    assert put(link.replace("X-Amz-Expires=60", "X-Amz-Expires=600"), b"12345") == 403
    expired = store.presign_put("b", size_bytes=5, seconds=1)
    time.sleep(2.1)
    assert put(expired, b"12345") == 403
    assert store.head("b") is None


def test_a_folder_has_no_link_to_put_to(tmp_path: Path) -> None:
    assert open_store(tmp_path.as_uri()).presign_put("a", size_bytes=1, seconds=1) is None
