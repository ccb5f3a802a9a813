"""`make release VERSION=x.y.z`: raise the version, date what is unreleased in the change log, commit and tag.

The version is said in one place, `pyproject.toml`; the agreed OpenAPI document repeats it. Nothing is pushed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path("pyproject.toml")
CHANGES = Path("CHANGELOG.md")
OPENAPI = Path("tests/api/openapi.json")

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
UNRELEASED = re.compile(r"^## \[Unreleased\]\n(?P<changes>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def numbers(version: str) -> tuple[int, ...]:
    """The three numbers of a version, to compare by. Raises SystemExit for anything else."""
    found = VERSION.fullmatch(version)
    if found is None:
        raise SystemExit(f"A version is three numbers, such as 0.2.0, not {version!r}.")
    return tuple(int(number) for number in found.groups())


def check(version: str, current: str) -> None:
    """Raises SystemExit, with the reason, where this version cannot be made of the working tree."""
    if numbers(version) <= numbers(current):
        raise SystemExit(f"{version} is not larger than {current}, the version now.")
    if git("status", "--porcelain"):
        raise SystemExit("There are changes that are not committed; commit them or put them away first.")
    if git("tag", "--list", f"v{version}"):
        raise SystemExit(f"There is a tag v{version} already.")


def dated(changes: str, version: str, day: str) -> str:
    """The change log with its unreleased changes under the version and the day. Raises SystemExit where it has none."""
    found = UNRELEASED.search(changes)
    if found is None or not found["changes"].strip():
        raise SystemExit(f"{CHANGES} has nothing under `## [Unreleased]`; say there what has changed.")
    head = f"## [Unreleased]\n\n## [{version}] - {day}\n"
    return changes[: found.start()] + head + found["changes"] + changes[found.end() :]


def replace_once(file: Path, old: str, new: str) -> None:
    """Raises SystemExit unless `old` is in the file, once."""
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{file} should say {old!r} once.")
    file.write_text(text.replace(old, new), encoding="utf-8")


def git(*arguments: str) -> str:
    """What Git answers. Raises CalledProcessError."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def release(version: str) -> None:
    """Make the version, in the repository that is the working directory."""
    current = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    check(version, current)
    changes = dated(CHANGES.read_text(encoding="utf-8"), version, datetime.now(UTC).date().isoformat())
    replace_once(PROJECT, f'\nversion = "{current}"\n', f'\nversion = "{version}"\n')
    replace_once(OPENAPI, f'\n  "version": "{current}"\n', f'\n  "version": "{version}"\n')
    CHANGES.write_text(changes, encoding="utf-8")
    git("commit", "--quiet", "--message", f"Version {version}", *map(str, (PROJECT, CHANGES, OPENAPI)))
    git("tag", "--annotate", f"v{version}", "--message", f"Version {version}")
    print(f"{version} is committed and tagged. To publish it: git push --follow-tags")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Which version? make release VERSION=x.y.z")
    release(sys.argv[1])
