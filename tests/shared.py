"""The seed system's outputs and the real models, which are too large for the repository: where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[2] / "shared"))
"""Beside the repository, or where MICROLITH_SHARED says; holds `parity/` and `assets/`."""
REQUIRED = "MICROLITH_REQUIRE_SHARED"
"""An environment variable; where it is 1, a run without the folder fails instead of skipping what needs it."""


def needs(folder: str) -> pytest.MarkDecorator:
    """Skips a test, and says how to get what it needs, where this part of the shared folder is not there."""
    return pytest.mark.skipif(not (FOLDER / folder).is_dir(), reason=missing(folder))


def missing(folder: str) -> str:
    """What to do about a part that is not there."""
    return f"{folder}/ of the shared folder is not there: put it beside the repository, or name it in MICROLITH_SHARED"


def check_required() -> None:
    """Raises UsageError where the environment asks for the shared folder and a part of it is not there."""
    if os.environ.get(REQUIRED) != "1":
        return
    for folder in ("parity", "assets"):
        if not (FOLDER / folder).is_dir():
            raise pytest.UsageError(f"{missing(folder)} ({REQUIRED} is set)")
