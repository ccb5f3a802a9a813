"""What only a folder has: files of its own, links, and writers that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.domain.errors import InvalidInput
from app.storage.folder import INCOMING, STALE_SECONDS, FolderStore

ZIP = "application/zip"
WRITER = """
import sys
from pathlib import Path
from app.storage.folder import FolderStore
FolderStore(Path(sys.argv[1]))._put("key", Path(sys.argv[2]), "application/zip")
"""


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def test_the_local_path_is_the_file_itself(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x")
    store.put_file("a/b", tmp_path / "in", ZIP)
    assert store.local_path("a/b").read_bytes() == b"x"
    assert store.presign("a/b", filename="b", media_type=ZIP, seconds=60) is None


def test_a_folder_that_it_makes_and_the_files_in_it_are_for_their_owner_alone(
    store: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(b"x")
    store.put_file("a/b", tmp_path / "in", ZIP)
    assert [path.stat().st_mode & 0o777 for path in (store.root, store.root / "a" / "b")] == [0o700, 0o600]


def test_a_linked_file_is_refused(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (store.root / "link").symlink_to(tmp_path / "secret")
    for use in (store.local_path, store.head, store.delete, lambda key: next(store.open(key))):
        with pytest.raises(InvalidInput, match="link"):
            use("link")
    assert list(store.list()) == []


def test_a_linked_folder_is_neither_read_nor_written(store: FolderStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"x")
    (store.root / "link").symlink_to(outside)
    with pytest.raises(InvalidInput, match="link"):
        store.put_file("link/new", outside / "file", ZIP)
    assert list(store.list()) == []
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_a_root_that_is_itself_behind_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    store = FolderStore(tmp_path / "link")
    (tmp_path / "in").write_bytes(b"x")
    store.put_file("key", tmp_path / "in", ZIP)
    assert (tmp_path / "real" / "key").exists()


def test_a_writer_killed_half_way_leaves_nothing_visible(store: FolderStore, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(store.root), str(pipe)])
    with pipe.open("wb") as half:
        half.write(b"x" * 65536)
        half.flush()
        while not list((store.root / INCOMING).iterdir()):
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert store.head("key") is None
    assert list(store.list()) == []


def test_what_a_killed_writer_left_is_swept_after_a_day(store: FolderStore) -> None:
    old, fresh = store.root / INCOMING / "old", store.root / INCOMING / "fresh"
    for path in (old, fresh):
        path.write_bytes(b"x")
    os.utime(old, (0, time.time() - STALE_SECONDS - 60))
    FolderStore(store.root)
    assert not old.exists()
    assert fresh.exists()


def test_a_folder_that_went_away_is_not_begun_anew_by_whoever_writes(store: FolderStore, tmp_path: Path) -> None:
    store.root.rename(tmp_path / "elsewhere")
    (tmp_path / "in").write_bytes(b"x")
    for late in (store, FolderStore(store.root, create=False)):
        with pytest.raises(OSError, match=f"{store.root} is not there"):
            late.put_file("a/b", tmp_path / "in", ZIP)
        assert late.head("a/b") is None
        assert list(late.list()) == []
    assert not store.root.exists()


def test_a_folder_that_went_away_fails_the_check_with_its_name(store: FolderStore) -> None:
    (store.root / INCOMING).rmdir()
    with pytest.raises(OSError, match=f"{store.root} cannot be written to"):
        store.check()
