"""What a data folder keeps to itself: the token, and everything else."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.embedded.child_account import child_account, closed_folder
from app.embedded.startup_token import NAME, announce, startup_token
from app.server import run_services
from app.settings import Settings
from app.storage.folder import FolderStore

URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def own_umask() -> Iterator[None]:
    """What a server sets for its process is not for the tests'."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_token_stays_with_its_folder_and_another_folder_has_another(tmp_path: Path) -> None:
    token = startup_token(tmp_path / "one")
    announce(tmp_path / "one", URL, token)
    assert startup_token(tmp_path / "one") == token
    assert startup_token(tmp_path / "two") != token
    assert len(token) >= 32


def test_the_file_is_for_its_owner_alone_and_says_where_the_server_is(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("not ours, and open to all")
    announce(tmp_path, URL, startup_token(tmp_path))
    assert mode(tmp_path / NAME) == 0o600
    assert json.loads((tmp_path / NAME).read_text())["url"] == URL


def test_a_server_without_a_key_has_a_token_unless_it_is_told_not_to(settings: Settings) -> None:
    plain = settings.model_copy(update={"allow_paths": None})
    with run_services(plain, worker=False) as complete:
        assert complete.token
    for update in ({"ask_token": False}, {"api_key": SecretStr("k" * 16)}, {"host": "0.0.0.0"}):
        with run_services(plain.model_copy(update=update), worker=False) as complete:
            assert complete.token is None


def test_whatever_a_server_writes_is_its_users_alone(settings: Settings, tmp_path: Path) -> None:
    with run_services(settings, worker=False) as complete:
        (tmp_path / "in").write_bytes(b"x")
        store = FolderStore(complete.data_dir / "objects")
        store.put_file("uploads/sha256/a", tmp_path / "in", "application/zip")
        for path in (store.root, store.root / "uploads" / "sha256"):
            assert mode(path) == 0o700
        assert mode(store.local_path("uploads/sha256/a")) == 0o600


def test_what_an_older_release_left_open_is_closed_at_the_next_start(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (folder / "objects" / "uploads").mkdir(parents=True)
    (folder / "lock").touch(0o644)
    elsewhere.mkdir(0o755)
    (folder / "logs").symlink_to(elsewhere)
    (folder / "notes-of-somebody").touch(0o644)
    closed_folder(folder)
    assert mode(folder) == (0o711 if child_account() else 0o700)
    assert (mode(folder / "objects"), mode(folder / "lock")) == (0o700, 0o600)
    assert (mode(elsewhere), mode(folder / "notes-of-somebody")) == (0o755, 0o644)
