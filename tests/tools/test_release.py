"""A release, made of a copy of the files that it changes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools/release.py"
FILES = ("pyproject.toml", "CHANGELOG.md", "tests/api/openapi.json")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with what a release reads, all of it committed."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.org")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    changes = tmp_path / "CHANGELOG.md"
    heading = "## [Unreleased]\n"
    changes.write_text(changes.read_text().replace(heading, f"{heading}\n### Added\n\n- A thing to tell.\n", 1))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)


def version(folder: Path) -> str:
    found: str = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    return found


def test_a_release_raises_the_version_dates_the_changes_commits_and_tags(copy: Path) -> None:
    before = version(copy)
    made = release(copy, "99.0.1")
    assert made.returncode == 0, made.stderr
    assert version(copy) == "99.0.1"
    changes = (copy / "CHANGELOG.md").read_text()
    assert re.search(
        r"^## \[Unreleased\]\n\n## \[99\.0\.1\] - \d{4}-\d\d-\d\d\n\n### Added\n\n- A thing", changes, re.M
    )
    assert f"## [{before}]" in changes
    assert git(copy, "status", "--porcelain") == ""
    assert git(copy, "log", "-1", "--format=%s") == "Version 99.0.1"
    assert git(copy, "rev-parse", "v99.0.1^{commit}") == git(copy, "rev-parse", "HEAD")
    assert sorted(git(copy, "show", "--format=", "--name-only").splitlines()) == sorted(FILES)


def test_the_next_release_needs_something_to_tell(copy: Path) -> None:
    release(copy, "99.0.1")
    made = release(copy, "99.0.2")
    assert made.returncode == 1
    assert "nothing under" in made.stderr
    assert version(copy) == "99.0.1"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [((), "Which version"), (("0.0.1",), "not larger"), (("1.2",), "three numbers"), (("v9.0.0",), "three numbers")],
)
def test_what_is_no_larger_version_is_refused(copy: Path, asked: tuple[str, ...], reason: str) -> None:
    made = release(copy, *asked)
    assert made.returncode == 1
    assert reason in made.stderr
    assert git(copy, "rev-list", "--count", "HEAD") == "1"


def test_the_version_there_is_is_refused(copy: Path) -> None:
    assert "not larger" in release(copy, version(copy)).stderr


def test_a_tree_with_changes_is_refused(copy: Path) -> None:
    (copy / "stray.txt").touch()
    made = release(copy, "99.0.1")
    assert made.returncode == 1
    assert "not committed" in made.stderr
    assert not git(copy, "tag")


def test_a_tag_that_is_there_is_refused(copy: Path) -> None:
    git(copy, "tag", "v99.0.1")
    assert "already" in release(copy, "99.0.1").stderr


def test_the_change_log_and_the_openapi_document_know_the_version() -> None:
    assert f"## [{version(ROOT)}] - " in (ROOT / "CHANGELOG.md").read_text()
    assert f'\n  "version": "{version(ROOT)}"\n' in (ROOT / FILES[2]).read_text()
