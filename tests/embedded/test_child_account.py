"""Folders and binaries that a child's account can reach, wherever ours are."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.binaries import Binary, find_postgres
from app.embedded.child_account import Account, can_enter, child_account, private_folder, reachable_binary
from tests.servers import scratch_folder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has children that run as somebody else")


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@pytest.fixture
def outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first place outside is unusable, the second is the one returned."""
    (folder / "file").touch()
    places = (folder / "file" / "x", folder / "outside")
    monkeypatch.setattr("app.embedded.child_account.OUTSIDE", places)
    return places[1]


@pytest.fixture
def home(folder: Path) -> Path:
    """A folder below one that only we may enter."""
    home = folder / "home" / "clone"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    return home


@pytest.mark.parametrize(("mode", "allowed"), [(0o755, True), (0o711, True), (0o700, False), (0o744, False)])
def test_an_account_enters_only_where_every_step_lets_it_pass(folder: Path, mode: int, allowed: bool) -> None:
    step = folder / "step"
    (step / "inner").mkdir(parents=True)
    step.chmod(mode)
    assert can_enter(step / "inner", Account("somebody", 54321, 54321)) == allowed


def test_an_ordinary_users_children_live_in_the_data_folder(folder: Path) -> None:
    data = private_folder(folder, "postgres", None)
    assert data == folder / "postgres"
    assert data.stat().st_mode & 0o777 == 0o700


@needs_root
def test_binaries_behind_a_closed_door_run_from_a_readable_copy(home: Path, outside: Path) -> None:
    tree = home / "wheel"
    (tree / "bin").mkdir(parents=True)
    program = tree / "bin" / "program"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/../words"\n')
    program.chmod(0o700)
    (tree / "words").write_text("hello")
    (tree / "words").chmod(0o600)
    binary = Binary(program, home, ("wheel", "wheel.libs"))
    account = child_account()
    copy = reachable_binary(binary, account)
    assert copy.is_relative_to(outside / "binaries")
    said = subprocess.run([copy], user=account.uid, group=account.gid, extra_groups=[], capture_output=True, check=True)
    assert said.stdout == b"hello"
    assert reachable_binary(binary, account) == copy
    assert copy.stat().st_uid == 0


@needs_root
def test_the_real_postgres_runs_from_its_copy(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.child_account.can_enter", lambda *_: False)
    account = child_account()
    copy = reachable_binary(find_postgres(), account)
    for program in (copy, copy.with_name("initdb")):
        answer = subprocess.run(
            [program, "--version"], user=account.uid, group=account.gid, capture_output=True, check=True
        )
        assert b"PostgreSQL" in answer.stdout


@needs_root
def test_a_closed_data_folder_remembers_where_its_data_is(home: Path, outside: Path) -> None:
    account = child_account()
    first = private_folder(home, "postgres", account)
    assert first.parent == outside / "data"
    assert (first.stat().st_uid, first.stat().st_mode & 0o777) == (account.uid, 0o700)
    home.parent.chmod(0o755)
    assert private_folder(home, "postgres", account) == first


@needs_root
def test_data_of_a_deleted_data_folder_is_moved_aside_for_a_new_one(home: Path, outside: Path) -> None:
    account = child_account()
    first = private_folder(home, "postgres", account)
    (first / "rows").touch()
    (home / "postgres.folder").unlink()
    second = private_folder(home, "postgres", account)
    assert second == first
    assert list(second.iterdir()) == []
    assert (first.with_suffix(".previous") / "rows").exists()


@needs_root
def test_a_place_outside_that_belongs_to_somebody_else_is_not_trusted(home: Path, outside: Path) -> None:
    outside.mkdir()
    os.chown(outside, 54321, 54321)
    with pytest.raises(OSError, match="can be used to keep data"):
        private_folder(home, "postgres", child_account())
