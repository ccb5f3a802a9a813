"""SECURITY.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = range(1, 14)
HEAD = ["#", "asset", "threat", "control", "test"]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def table() -> list[list[str]]:
    """The rows of threats and controls, without the head."""
    part = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Threats and controls")[2]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert rows[0] == HEAD
    return rows[2:]


@cache
def named_in(file: str) -> frozenset[str]:
    """Names of the tests in a file, those that a decorator or a class makes included."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    defined = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(one.name for one in defined if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row[0]} {row[2]}"[:60])
def test_every_threat_has_an_asset_a_control_and_a_test_that_there_is(row: list[str]) -> None:
    assert len(row) == len(HEAD)
    assert all(row), row
    assert int(row[0]) in KINDS
    named = TEST.fullmatch(row[-1])
    assert named, f"{row[-1]} is not `tests/….py::test_…`"
    assert named[2] in named_in(named[1]), f"there is no {named[1]}::{named[2]}"


def test_every_kind_of_attack_has_a_row() -> None:
    assert {int(row[0]) for row in table()} == {*KINDS}
